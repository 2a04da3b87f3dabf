// Writes completion scripts, man pages and field cards into deploy/ from the command definitions: npm run documents.
// With --check it writes nothing and fails where one is not what the definitions give.
import { readFileSync, writeFileSync } from 'node:fs';
import { releasedOn } from '../../lib/clock.ts';
import { ifPossible } from '../../lib/if-possible.ts';
import { version } from '../command.ts';
import { completions, treeOf } from '../manual.ts';
import { type Language, languages } from '../message.ts';
import { buildProgram } from '../program.ts';
import { openTranslate } from '../translate.ts';
import type { CommandShape } from './command-tree.ts';
import { fieldCard } from './field-card.ts';
import { manPage } from './man-page.ts';

const deploy = new URL('../../../deploy/', import.meta.url);

/** Every document by its path under deploy/. */
export async function documents(): Promise<Record<string, string>> {
  const tree = async (language: Language) => treeOf(await buildProgram(new AbortController().signal, language));
  const trees: Record<Language, CommandShape> = { en: await tree('en'), fr: await tree('fr') };
  return {
    'completion/tocsin.bash': completions.bash(trees.en),
    'completion/_tocsin': completions.zsh(trees.en),
    'completion/tocsin.fish': completions.fish(trees.en),
    ...Object.fromEntries(
      languages.flatMap((language) => {
        const t = openTranslate(language);
        return [
          [`man/tocsin${language === 'en' ? '' : `.${language}`}.1`, manPage(trees[language], version, releasedOn, t)],
          [`field-card/field-card.${language}.html`, fieldCard(trees[language], version, t)],
        ];
      }),
    ),
  };
}

/** Paths of documents that are not what the definitions give, `made`. */
export function stale(made: Record<string, string>): string[] {
  const written = (path: string) => ifPossible(() => readFileSync(new URL(path, deploy), 'utf8'));
  return Object.entries(made).flatMap(([path, content]) => (written(path) === content ? [] : [path]));
}

if (import.meta.main) {
  const made = await documents();
  const old = stale(made);
  if (process.argv.includes('--check')) {
    if (old.length > 0)
      process.stderr.write(`Error: expected deploy/ as the command definitions give it, got others: ${old.join(', ')}\nTry: npm run documents\n`);
    process.exitCode = old.length > 0 ? 1 : 0;
  } else for (const path of old) writeFileSync(new URL(path, deploy), made[path] as string);
}
