import { Argument, type Command } from 'commander';
import { releasedOn } from '../lib/clock.ts';
import { addCommand, examplesOf, version } from './command.ts';
import { bashCompletion } from './manual/bash-completion.ts';
import { type CommandShape, commandTree } from './manual/command-tree.ts';
import { fieldCard } from './manual/field-card.ts';
import { fishCompletion } from './manual/fish-completion.ts';
import { manPage } from './manual/man-page.ts';
import { zshCompletion } from './manual/zsh-completion.ts';
import type { Translate } from './translate.ts';

export const completions: Record<'bash' | 'zsh' | 'fish', (root: CommandShape) => string> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
};

/** completion, man and field-card: made from the commands themselves, so that none of them can say something else. */
export function addManual(program: Command, t: Translate): void {
  addCommand(program, 'completion', 'print the completion script of a shell', [
    'tocsin completion bash > /etc/bash_completion.d/tocsin',
    'tocsin completion zsh > "$fpath[1]/_tocsin"',
    'tocsin completion fish > /etc/fish/completions/tocsin.fish',
  ])
    .addArgument(new Argument('<shell>', 'which shell').choices(Object.keys(completions)))
    .action((shell: keyof typeof completions) => void process.stdout.write(completions[shell](treeOf(program))));
  addCommand(program, 'man', 'print the manual page', ['tocsin man > tocsin.1', 'tocsin man --lang fr | man -l -']).action(
    () => void process.stdout.write(manPage(treeOf(program), version, releasedOn, t)),
  );
  addCommand(program, 'field-card', 'print the one-page card for the field as HTML', ['tocsin field-card --lang fr > card.html']).action(
    () => void process.stdout.write(fieldCard(treeOf(program), version, t)),
  );
}

export function treeOf(program: Command): CommandShape {
  return commandTree(program, examplesOf);
}
