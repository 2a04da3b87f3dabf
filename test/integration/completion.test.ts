import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { shellWord } from '../../agent/lib/shell-word.ts';
import { missing } from '../support/broker.ts';

const folder = mkdtempSync(join(tmpdir(), 'tocsin-completion-'));
const script = (name: string) => resolve('deploy/completion', name);

beforeAll(() => {
  for (const name of ['street one.wav', 'street-two.wav']) writeFileSync(join(folder, name), '');
  mkdirSync(join(folder, 'scenes'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/**
 * The command line when Tab is pressed (its last word is completed), and what must be offered; `true`: nothing else.
 */
const lines: [line: string, offered: string[], exactly?: true][] = [
  ['tocsin do', ['doctor'], true],
  ['tocsin ', ['run', 'doctor', 'events', 'completion', 'help']],
  ['tocsin help sel', ['selftest'], true],
  ['tocsin help calibrate ', ['thresholds'], true],
  ['tocsin help privacy ve', ['verify'], true],
  ['tocsin help doctor ', [], true],
  ['tocsin help config check ', [], true],
  ['tocsin events ex', ['explain'], true],
  ['tocsin config ', ['check', 'show', 'example']],
  ['tocsin doctor --js', ['--json'], true],
  ['tocsin doctor --', ['--config', '--json', '--lang', '--help']],
  ['tocsin events explain --js', ['--json'], true],
  ['tocsin events --js', ['--json'], true], // a command with others below it
  ['tocsin replay --operating-point ', ['balanced', 'strict'], true],
  ['tocsin replay a.wav --operating-point s', ['strict'], true],
  ['tocsin status --lang f', ['fr'], true],
  ['tocsin selftest --speaker --js', ['--json'], true], // its value may be left out
  ['tocsin completion z', ['zsh'], true],
  ['tocsin replay street', ['street one.wav', 'street-two.wav'], true],
  ['tocsin replay a.wav street-', ['street-two.wav'], true],
  ['tocsin doctor --config street-', ['street-two.wav'], true],
  ['tocsin doctor -c street-', ['street-two.wav'], true],
  ['tocsin model sce', ['scenes'], true],
  ['tocsin replay --model sce', ['scenes'], true],
  ['tocsin doctor --nonsense', [], true],
];

/** Calls the function registered by `complete` as bash does; `=` is a word of its own. */
function bash(line: string): string[] {
  const driver = `cd "$1"; source "$2"; IFS= read -r line
    mapfile -t COMP_WORDS < <(awk -v line="$line" 'BEGIN { n = split(line, w, / /); for (i = 1; i <= n; i++) { if (match(w[i], /^--[a-z-]+=/)) { print substr(w[i], 1, RLENGTH - 1); print "="; print substr(w[i], RLENGTH + 1) } else print w[i] } }')
    COMP_CWORD=$(( \${#COMP_WORDS[@]} - 1 )); _tocsin; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', driver, 'bash', folder, script('tocsin.bash')], { input: `${line}\n`, encoding: 'utf8' });
  expect(stderr).toBe('');
  return stdout.split('\n').filter(Boolean);
}

/** Returns the words that are offered, or with 1 their descriptions. */
function fish(line: string, column = 0): string[] {
  const { stdout, stderr } = spawnSync(
    'fish',
    ['--no-config', '-c', `cd $argv[1]; source $argv[2]; complete -C $argv[3]`, folder, script('tocsin.fish'), line],
    {
      encoding: 'utf8',
      env: { ...process.env, HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder },
    },
  );
  expect(stderr).toBe('');
  return stdout.split('\n').flatMap((offer) => {
    const word = (offer.split('\t')[column] ?? '').replace(/\/$/, '').replaceAll('\\ ', ' ');
    return word ? [word] : [];
  });
}

/** Presses Tab in a real interactive zsh on a pseudo-terminal (zpty); a hook collects what is offered. */
function zsh(line: string): string[] {
  const inner = `PROMPT=; cd ${folder}; fpath=(${shellWord(resolve('deploy/completion'))} $fpath); autoload -Uz compinit; compinit -u -d ${folder}/zcompdump
compadd() { if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return; fi; local -a __hits; builtin compadd -A __hits -D __dscr "$@"; (( $#__hits )) && print -rl -- "OFFER:"$^__hits; builtin compadd "$@" }
null-line() { zle -K main; }
zstyle ':completion:*' list-grouped false; zstyle ':completion:*' menu no; unsetopt list_ambiguous auto_menu list_beep; LISTMAX=0
finish() { print -r -- DONE; exit }; zle -N finish
show() { zle complete-word; print -r -- DONE; exit }; zle -N show; zle -C complete-word complete-word _main_complete; bindkey '^I' show
`;
  writeFileSync(join(folder, '.zshrc'), inner);
  const driver = `zmodload zsh/zpty; zpty z "HOME=$1 ZDOTDIR=$1 TERM=dumb zsh -i"; zpty -w -n z "$2"$'\\t'; local out all=; while zpty -r z out; do all+=$out; [[ $all == *DONE* ]] && break; done; print -r -- "$all"; zpty -d z`;
  const { stdout } = spawnSync('zsh', ['-f', '-c', driver, 'zsh', folder, line], { encoding: 'utf8', timeout: 20_000 });
  return [...stdout.matchAll(/OFFER:([^\r\n]+)/g)].map(([, word]) => (word as string).replace(/[=/]$/, '').replaceAll('\\ ', ' '));
}

for (const [shell, complete] of Object.entries({ bash, zsh, fish })) {
  const without = missing(shell);
  describe.skipIf(without)(`completion in ${shell}${without ? ` (left out: ${without})` : ''}`, () => {
    test.each(lines)('%s', (line, offered, exactly) => {
      const got = [...new Set(complete(line))].toSorted();
      if (exactly) expect(got).toEqual(offered.toSorted());
      else expect(got).toEqual(expect.arrayContaining(offered));
    });
  });
}

test.skipIf(missing('bash'))('completes an option value after an equals sign in bash (needs bash)', () => {
  expect(bash('tocsin replay --operating-point=b')).toEqual(['balanced']);
  expect(bash('tocsin replay --operating-point=')).toEqual(['balanced', 'strict']);
});

test.skipIf(missing('zsh'))('completes an option value after an equals sign in zsh, and offers no option that is there by its other name (needs zsh)', () => {
  expect(zsh('tocsin replay --operating-point=s')).toEqual(['strict']);
  expect(zsh('tocsin doctor -c street-two.wav --con')).toEqual([]);
});

test.skipIf(missing('fish'))('completes an option value after an equals sign in fish, and describes what it offers (needs fish)', () => {
  expect(fish('tocsin replay --operating-point=s')).toEqual(['--operating-point=strict']);
  expect(fish('tocsin doc', 1)).toEqual(['check this sensor step by step, from power supply to platform']);
});
