import { exitCodes } from '../../lib/errors.ts';
import { wrap } from '../output.ts';
import type { Translate } from '../translate.ts';
import { noBreak } from '../typography.ts';
import { type CommandShape, everyCommand, type OptionShape } from './command-tree.ts';

const exitNames = Object.keys(exitCodes) as (keyof typeof exitCodes)[];
const files = ['/etc/tocsin/tocsin.yaml', '/etc/tocsin/credentials/', '/var/lib/tocsin/outbox.db'] as const;
const everywhere = ['--lang', '--help']; // options of every command, described once

/** The manual page in the man macros, for man-db and mandoc. `released` is a day as YYYY-MM-DD. */
export function manPage(root: CommandShape, version: string, released: string, t: Translate): string {
  const common = root.options.filter(({ long }) => everywhere.includes(long) || long === '--version');
  const environment = new Map<string, string>([['LC_ALL, LC_MESSAGES, LANG', t('man.env.locale')]]);
  for (const { options } of everyCommand(root))
    for (const option of options) if (option.environment) environment.set(option.environment, `${option.description} (${option.long})`);
  environment.set('NO_COLOR', t('man.env.colour'));
  const sections: [string, string[]][] = [
    [t('man.name'), [`tocsin \\- ${roff(t('man.brief'))}`]],
    [t('man.synopsis'), ['.B tocsin', `.I ${roff(t('man.command'))}`, roff(t('man.rest'))]],
    [t('man.description'), [roff(root.description), '.PP', roff(t('man.halves')), '.PP', roff(t('man.errors'))]],
    [t('man.options'), common.flatMap((option) => tagged(optionTag(option), optionText(option, t)))],
    [
      t('man.commands'),
      everyCommand(root)
        .slice(1)
        .flatMap((command) => commandLines(command, t)),
    ],
    [
      t('man.exit'),
      [['0', t('exit.done')] as const, ...exitNames.map((name) => [String(exitCodes[name]), t(`exit.${name}`)] as const)].flatMap(([code, what]) =>
        tagged(`.B ${code}`, what),
      ),
    ],
    [t('man.environment'), [...environment].flatMap(([name, what]) => tagged(`.B ${roff(name)}`, what))],
    [t('man.files'), files.flatMap((path) => tagged(`.I ${roff(path)}`, t(`man.file.${path}`)))],
    [t('man.see'), ['.BR alsamixer (1),', '.BR journalctl (1),', '.BR systemctl (1),', '.BR timedatectl (1)']],
  ];
  return `.\\" made by: tocsin man\n.TH TOCSIN 1 ${released} "Tocsin ${version}"\n.nh\n.ad l\n${sections.map(([title, lines]) => `.SH ${quote(title)}\n${lines.join('\n')}\n`).join('')}`;
}

function commandLines(command: CommandShape, t: Translate): string[] {
  const name = command.words.join(' ');
  const own = command.options.filter(({ long }) => !everywhere.includes(long));
  return [
    `.SS ${quote(`tocsin ${name}`)}`,
    `.BI ${quote(`tocsin ${name} `)} ${quote(command.usage)}`,
    '.br',
    roff(`${command.description}.`),
    ...command.arguments.flatMap(({ name: placeholder, description, choices }) =>
      tagged(`.I ${roff(placeholder)}`, t.clauses([description, ...choiceText(choices, t)])),
    ),
    ...own.flatMap((option) => tagged(optionTag(option), optionText(option, t))),
    ...(command.examples.length > 0 ? ['.PP', roff(t('help.Examples:')), '.PP', '.RS', '.nf', ...command.examples.map(verbatim), '.fi', '.RE'] : []),
  ];
}

function optionTag({ short, long, value }: OptionShape): string {
  const shown = value && (value.optional ? `[${value.name}]` : value.name);
  const flags = [...(short ? [short] : []), long].map((flag) => `\\fB${roff(flag)}\\fR`).join(', ');
  return shown ? `${flags} \\fI${roff(shown)}\\fR` : flags;
}

function optionText({ description, value, default: normal, environment }: OptionShape, t: Translate): string {
  const parts = [description, ...choiceText(value?.choices ?? [], t)];
  if (normal !== undefined) parts.push(`${t('help.(default:').slice(1)} ${normal}`);
  if (environment !== undefined) parts.push(`${t('help.(env:').slice(1)} ${environment}`);
  return t.clauses(parts);
}

function choiceText(choices: readonly string[], t: Translate): string[] {
  return choices.length > 0 ? [`${t('help.(choices:').slice(1)} ${choices.join(', ')}`] : [];
}

function tagged(tag: string, text: string): string[] {
  return ['.TP', tag, roff(text)];
}

/**
 * Text as roff shows it: short source lines, none of which begins with a request, and hyphens that may be typed into a
 * shell.
 */
function roff(text: string): string {
  return wrap(text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll(noBreak, '\\~'), 76).replace(/^(?=[.'])/gm, '\\&');
}

/** One line that stays one line. */
function verbatim(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/, '\\&');
}

function quote(text: string): string {
  return `"${verbatim(text).replaceAll('"', '\\(dq')}"`;
}
