import { type CommandShape, everyCommand, helpTopics } from './command-tree.ts';

/** Completion for fish 3 and newer. */
export function fishCompletion(root: CommandShape): string {
  const commands = everyCommand(root);
  const quoted = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const path = ({ words }: CommandShape) => words.join(' ');
  const when = (words: string) => `complete -c tocsin -n ${quoted(`__tocsin_at "${words}"`)}`;
  const lines = commands.flatMap((command) => [
    ...command.commands.map((child) => `${when(path(command))} -a ${quoted(child.words.at(-1) as string)} -d ${quoted(child.description)}`),
    ...command.options.map(({ short, long, description, value }) => {
      const flags = [...(short ? [`-s ${short.slice(1)}`] : []), `-l ${long.slice(2)}`];
      if (value && value.choices.length > 0) flags.push(`-x -a ${quoted(value.choices.join(' '))}`);
      else if (value?.kind === 'folder') flags.push("-x -a '(__fish_complete_directories)'");
      else if (value && !value.optional) flags.push(value.kind === 'file' ? '-r -F' : '-x');
      return `${when(path(command))} ${flags.join(' ')} -d ${quoted(description)}`;
    }),
    ...command.arguments.flatMap(({ kind, choices }) => {
      if (choices.length > 0) return [`${when(path(command))} -a ${quoted(choices.join(' '))}`];
      if (kind === 'folder') return [`${when(path(command))} -a '(__fish_complete_directories)'`];
      return kind === 'file' ? [`${when(path(command))} -F`] : [];
    }),
  ]);
  const helps = helpTopics(root).map(({ words, below }) => `${when(`help ${words}`.trim())} -a ${quoted(below.join(' '))}`);
  return `# fish completion for tocsin; made by: tocsin completion fish
function __tocsin_at --argument-names wanted
    set -l at ''
    for word in (commandline -opc)[2..-1]
        set -l longer (string trim -- "$at $word")
        string match -q -- 'help *' $longer; or contains -- $longer help ${commands
          .slice(1)
          .map((command) => quoted(path(command)))
          .join(' ')}
        and set at $longer
    end
    test "$at" = "$wanted"
end
complete -c tocsin -f
${lines.join('\n')}
${when('')} -a help
${helps.join('\n')}
`;
}
