// Writes completion scripts, man pages and field cards into deploy/ from the command definitions: npm run documents.
// With --check it writes nothing and fails where one is not what the definitions give.
import { readFileSync, writeFileSync } from 'node:fs';
import { releasedOn } from '../../lib/clock.ts';
import { version } from '../command.ts';
import { completions, treeOf } from '../manual.ts';
import { type Language, languages } from '../message.ts';
import { buildProgram } from '../program.ts';
import { openTranslate } from '../translate.ts';
import { fieldCard } from './field-card.ts';
import { manPage } from './man-page.ts';

const deploy = new URL('../../../deploy/', import.meta.url);

/** Every document by its path under deploy/. */
export function documents(): Record<string, string> {
  const tree = (language: Language) => treeOf(buildProgram(new AbortController().signal, language));
  const english = tree('en');
  return {
    'completion/tocsin.bash': completions.bash(english),
    'completion/_tocsin': completions.zsh(english),
    'completion/tocsin.fish': completions.fish(english),
    ...Object.fromEntries(
      languages.flatMap((language) => {
        const t = openTranslate(language);
        return [
          [`man/tocsin${language === 'en' ? '' : `.${language}`}.1`, manPage(tree(language), version, releasedOn, t)],
          [`field-card/field-card.${language}.html`, fieldCard(tree(language), version, t)],
        ];
      }),
    ),
  };
}

/** Paths of documents that are not what the definitions give. */
export function stale(): string[] {
  const written = (path: string) => {
    try {
      return readFileSync(new URL(path, deploy), 'utf8');
    } catch {
      return undefined;
    }
  };
  return Object.entries(documents()).flatMap(([path, content]) => (written(path) === content ? [] : [path]));
}

if (import.meta.main) {
  const old = stale();
  if (process.argv.includes('--check')) {
    if (old.length > 0)
      process.stderr.write(`Error: expected deploy/ as the command definitions give it, got others: ${old.join(', ')}\nTry: npm run documents\n`);
    process.exitCode = old.length > 0 ? 1 : 0;
  } else for (const path of old) writeFileSync(new URL(path, deploy), documents()[path] as string);
}
