import { type CommandShape, everyCommand, helpTopics, type OptionShape } from './command-tree.ts';

/**
 * Completion for bash 4 and newer, with or without the bash-completion package. Everything is in the script: a Node
 * process a key would take seconds on a small board.
 */
export function bashCompletion(root: CommandShape): string {
  const commands = everyCommand(root);
  const name = ({ words }: CommandShape) => words.join(' ');
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const known = commands.filter(({ words }) => words.length > 0).map((command) => quoted(name(command)));
  const flags = ({ short, long }: OptionShape) => (short ? [short, long] : [long]);
  const values = commands.flatMap((command) =>
    command.options.flatMap((option) =>
      option.value
        ? [
            `    ${flags(option)
              .map((flag) => quoted(`${name(command)}:${flag}`))
              .join(' | ')}) ${offer(option.value)} ;;`,
          ]
        : [],
    ),
  );
  const words = commands.map((command) => {
    const options = command.options.flatMap(flags);
    const next = [...command.commands.map(({ words: path }) => path.at(-1) as string), ...command.arguments.flatMap(({ choices }) => choices)];
    if (command.words.length === 0) next.push('help');
    const files = command.arguments.find(({ kind }) => kind !== 'text');
    return `    ${quoted(name(command))}) options=${quoted(options.join(' '))} words=${quoted(next.join(' '))}${files ? ` files=${files.kind}` : ''} ;;`;
  });
  const helps = helpTopics(root).map(({ words, below }) => `    ${quoted(`help ${words}`.trim())}) words=${quoted(below.join(' '))} ;;`);
  return `# bash completion for tocsin; made by: tocsin completion bash
_tocsin() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} at='' i options='' words='' files=''
  COMPREPLY=()
  # bash gives --name=value as three words
  if [[ $cur == = ]]; then
    cur=''
  elif [[ $prev == = ]]; then
    prev=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "\${at:+$at }\${COMP_WORDS[i]}" in
    help | help\\ * | ${known.join(' | ')}) at="\${at:+$at }\${COMP_WORDS[i]}" ;;
    esac
  done
  case "$at:$prev" in
${values.join('\n')}
  esac
  case "$at" in
${helps.join('\n')}
${words.join('\n')}
  esac
  if [[ $cur == -* ]]; then
    _tocsin_words "$options"
  elif [[ $files ]]; then
    _tocsin_paths "$files"
  else
    _tocsin_words "$words"
  fi
}
_tocsin_words() {
  local IFS=$' \\t\\n'
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}
_tocsin_paths() {
  local how=-f
  [[ $1 == folder ]] && how=-d
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen "$how" -- "$cur")
}
complete -F _tocsin tocsin
`;
}

function offer({ kind, choices, optional }: NonNullable<OptionShape['value']>): string {
  if (choices.length > 0) return `_tocsin_words '${choices.join(' ')}'; return`;
  if (kind !== 'text') return `_tocsin_paths ${kind}; return`;
  return optional ? '[[ $cur == -* ]] || return' : 'return'; // nothing is known of it, so nothing is offered
}
