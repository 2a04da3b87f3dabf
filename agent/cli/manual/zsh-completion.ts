import { type ArgumentShape, type CommandShape, everyCommand, helpTopics, type OptionShape } from './command-tree.ts';

/**
 * Completion for zsh: a function for each command, in the form that its completion system wants for a #compdef file.
 */
export function zshCompletion(root: CommandShape): string {
  const functions = everyCommand(root).map((command) => (command.commands.length > 0 ? group(command) : leaf(command)));
  return `#compdef tocsin
# zsh completion for tocsin; made by: tocsin completion zsh
${functions.join('\n')}
if [ "$funcstack[1]" = _tocsin ]; then
  _tocsin "$@"
else
  compdef _tocsin tocsin
fi
`;
}

const functionOf = ({ words }: CommandShape) => ['_tocsin', ...words].join('_').replaceAll('-', '_');

function leaf(command: CommandShape): string {
  return `${functionOf(command)}() {
  _arguments -s \\
    ${[...command.options.flatMap(optionSpecs), ...command.arguments.map(argumentSpec)].join(' \\\n    ')}
}`;
}

function group(command: CommandShape): string {
  const last = ({ words }: CommandShape) => words.at(-1) as string;
  const isRoot = command.words.length === 0;
  const help = isRoot ? "\n    'help:'" : '';
  const described = command.commands.map((child) => `'${last(child)}:${escapeWord(child.description)}'`);
  return `${functionOf(command)}() {
  local curcontext="$curcontext" state line
  typeset -A opt_args
  local -a commands
  commands=(
    ${described.join('\n    ')}${help}
  )
  _arguments -s -C \\
    ${command.options.flatMap(optionSpecs).join(' \\\n    ')} \\
    '1: :->command' \\
    '*:: :->rest'
  case $state in
  command) _describe -t commands command commands ;;
  rest)
    case $words[1] in
    ${command.commands.map((child) => `${last(child)}) ${functionOf(child)} ;;`).join('\n    ')}${isRoot ? helpCase(command) : ''}
    esac
    ;;
  esac
}`;
}

function helpCase(root: CommandShape): string {
  const cases = helpTopics(root).map(
    ({ words, below }) => `'${words}') ${words ? `compadd - ${below.join(' ')}` : '_describe -t commands command commands'} ;;`,
  );
  return `
    help)
      case "\${words[2,CURRENT-1]}" in
      ${cases.join('\n      ')}
      esac
      ;;`;
}

function optionSpecs({ short, long, description, value }: OptionShape): string[] {
  const said = `[${escapeWord(description).replaceAll('[', '\\[').replaceAll(']', '\\]')}]`;
  const after = value ? `${value.optional ? '::' : ':'}${value.name}:${action(value.kind, value.choices)}` : '';
  const name = value && !value.optional ? `${long}=` : long; // a sign of equality or a space may follow
  return short ? [`'(${short} ${long})'{${short},${name}}'${said}${after}'`] : [`'${name}${said}${after}'`];
}

function argumentSpec({ name, kind, choices, required, variadic }: ArgumentShape): string {
  return `'${variadic ? '*' : '1'}${required || variadic ? ':' : '::'}${name}:${action(kind, choices)}'`;
}

function action(kind: ArgumentShape['kind'], choices: readonly string[]): string {
  if (choices.length > 0) return `(${choices.join(' ')})`;
  return { file: '_files', folder: '_files -/', text: ' ' }[kind];
}

/** For a single-quoted word in which a colon separates. */
function escapeWord(text: string): string {
  return text.replaceAll("'", "'\\''").replaceAll(':', '\\:');
}
