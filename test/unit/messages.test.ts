import { globSync, readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { frenchCauses } from '../../agent/cli/messages/causes.ts';
import { frenchErrors } from '../../agent/cli/messages/errors.ts';
import { frenchHelp } from '../../agent/cli/messages/help.ts';
import { screenOf, wrap } from '../../agent/cli/output.ts';
import { buildProgram } from '../../agent/cli/program.ts';
import { catalogue, languageOf, type MessageKey, openTranslate, text, translateError } from '../../agent/cli/translate.ts';
import { fixed, formatNumber, typeset } from '../../agent/cli/typography.ts';
import { checkConfig } from '../../agent/config/load-config.ts';
import { readYaml } from '../../agent/config/read-yaml.ts';
import { microphoneFaults } from '../../agent/lib/faults.ts';

const placeholders = (message: string) => [...message.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).toSorted();

test('every message has a text in both languages, with the same placeholders', () => {
  expect(Object.keys(catalogue).length).toBeGreaterThan(100);
  for (const [key, { en, fr }] of Object.entries(catalogue)) {
    expect(en.trim() && fr.trim(), key).not.toBe('');
    expect(placeholders(fr), key).toEqual(placeholders(en));
  }
});

test('every message in the catalogue is used by the code', () => {
  const code = globSync('agent/cli/**/*.ts')
    .filter((path) => !path.includes('/messages/'))
    .map((path) => readFileSync(path, 'utf8'))
    .join('\n');
  // composed keys: `label.${name}` uses every key with that prefix
  const composed = [...code.matchAll(/`((?:[\w-]+\.)+)\$\{/g)].map(([, prefix]) => prefix as string);
  const unused = Object.keys(catalogue).filter((key) => {
    const base = key.replace(/\.try$/, '');
    return !code.includes(`'${base}'`) && !composed.some((prefix) => key.startsWith(prefix));
  });
  expect(unused).toEqual([]);
});

test('every description of a command, option or argument has a French translation', async () => {
  const missing: string[] = [];
  const ours = new Set(['help.help', 'help.version', 'help.lang'].map((key) => catalogue[key as MessageKey].en as string));
  const visit = (command: Command) => {
    for (const part of [{ description: command.description() }, ...command.options, ...command.registeredArguments])
      if (part.description && !(part.description in frenchHelp) && !ours.has(part.description)) missing.push(part.description);
    command.commands.forEach(visit);
  };
  visit(await buildProgram(new AbortController().signal));
  expect(missing).toEqual([]);
});

/** The string and template literals of the call at `at`, with a numbered placeholder for each `${...}`. */
function literalsOf(source: string, at: number): string[] {
  const found: string[] = [];
  let i = at;
  let depth = 1;
  while (i < source.length && depth > 0) {
    const open = source[i] as string;
    if (open === '(' || open === '{') depth++;
    if (open === ')' || open === '}') depth--;
    i++;
    if (open !== "'" && open !== '"' && open !== '`') continue;
    let form = '';
    let holes = 0;
    while (source[i] !== open) {
      if (source[i] === '\\') {
        form += source[i + 1] === 'n' ? '\n' : source[i + 1];
        i += 2;
      } else if (open === '`' && source.startsWith('${', i)) {
        form += `{${++holes}}`;
        i = afterHole(source, i + 2);
      } else form += source[i++];
    }
    i++;
    if (depth === 1) found.push(form);
  }
  return found;
}
function afterHole(source: string, at: number): number {
  let depth = 1;
  let i = at;
  for (; depth > 0; i++) {
    if (source[i] === '{') depth++;
    else if (source[i] === '}') depth--;
    else if (source[i] === '`') {
      for (i++; source[i] !== '`'; i++) if (source.startsWith('${', i)) i = afterHole(source, i + 2) - 1;
    }
  }
  return i;
}

test('every error message and hint that the agent throws has a French translation', () => {
  // the name of a fault, not a text
  const isFault = (form: string) => (microphoneFaults as readonly string[]).includes(form);
  const missing: string[] = [];
  let seen = 0;
  for (const path of globSync('agent/**/*.ts')) {
    const source = readFileSync(path, 'utf8');
    for (const match of source.matchAll(/new (?:\w+)Error\(/g)) {
      if (
        !/^(Config|Audio|Capture|Model|Outbox|LaterSchema|Unstorable|Broker|Unsent|Unheard|Stopped|Provision|Tocsin|InvalidArgument)$/.test(
          match[0].slice(4, -6),
        )
      )
        continue;
      for (const form of literalsOf(source, match.index + match[0].length)) {
        seen++;
        if (!(form in frenchErrors) && !isFault(form)) missing.push(`${path}: ${form}`);
      }
    }
  }
  expect(missing).toEqual([]);
  expect(seen).toBeGreaterThan(30);
});

test('every reason for refusing a sound file has a French translation', () => {
  const forms = ['audio-file', 'file-header'].flatMap((name) => {
    const source = readFileSync(`agent/audio/${name}.ts`, 'utf8');
    return [...source.matchAll(/new Error\(/g)].flatMap(({ index }) => literalsOf(source, index + 'new Error('.length));
  });
  expect(forms.filter((form) => !(form in frenchCauses))).toEqual([]);
  expect(forms).toContain('a sample that is no finite number, {1} s in');
  const of = (cause: string) => translateError(`Expected a wav, flac, ogg or mp3 file at /a, got: ${cause}`, 'fr').split(' obtenu\u00a0: ')[1];
  expect(of('a file that is cut short: 10 of 20 bytes of sound')).toBe('un fichier tronqué\u00a0: 10 octets de son sur 20');
  expect(translateError('Expected to read the outbox /a, got: file is not a database', 'fr')).toMatch(
    /^Impossible de lire .*\u00a0: ce n’est pas une base de données$/,
  );
  expect(openTranslate('fr')('selftest.broke', { link: 'x', reason: 'database is locked' })).toContain('la base de données est occupée');
});

test('the reason why a capture ended is translated to French; the words of other programs stay as they are', () => {
  const of = (how: string) => translateError(`Expected arecord to keep capturing, got: ${how}`, 'fr').split('La capture par arecord a échoué\u00a0: ')[1];
  expect(of('exit 1 (arecord: main:831: audio open error: No such device)')).toBe('sortie 1 (arecord: main:831: audio open error: No such device)');
  expect(of('exit 1 (expected one of the inputs a, b, got c)')).toBe('sortie 1 (attendu l’une des entrées a, b, obtenu c)');
  expect(of('no sound for 5 s of the last 10 s')).toBe('aucun son pendant 5\u00a0s des 10 dernières');
  expect(translateError('Expected systemctl start tocsin-listener.service to succeed, got: exit 1', 'fr')).toMatch(/ a échoué\u00a0: sortie 1$/);
  expect(openTranslate('fr')('doctor.microphone.absent', { device: 'x', reason: 'No such device' })).toContain('(aucun appareil de ce nom)');
});

test.each([
  ['mqtt:\n\turl: x', 'une tabulation dans le retrait'],
  ['mqtt:\n   url: a\n  protocol: 5', 'des clés d’un même groupe dont le retrait diffère'],
  ['a:\n  - 1\n - 2', 'une liste dont le retrait diffère'],
  ['mqtt:\n  url: a\n   protocol: 5', 'une clé après une autre sur la même ligne, ou en retrait sous une valeur'],
  ['site: a\nsite: b', 'une clé qui y est déjà'],
  ['site: a\nsensor b', 'une clé sans deux-points'],
  ['site:a\nsensor: b', 'une clé sans deux-points, ou sans espace après'],
  ['site: "a', 'aucun guillemet " fermant'],
  ["site: 'a", "aucun guillemet ' fermant"],
  ['site: "a"b', 'du texte après la fin d’une valeur'],
  ['site: "a"#b', 'un commentaire sans espace devant #'],
  ['site: @a', 'une valeur qui commence par @ sans guillemets'],
  ['site: "\\d"', 'une séquence \\d inconnue entre guillemets'],
  ['model: {open: 1', 'aucune accolade } fermante'],
  ['a: [1', 'aucun crochet ] fermant'],
  ['site: !a b', 'une étiquette (!nom) inconnue'],
  ['site: a\n---\nsite: b', 'une ligne --- au milieu du fichier'],
])('the YAML error in %j is translated to French with its line and column', (yaml, french) => {
  let english = '';
  try {
    readYaml(yaml, 'FILE');
  } catch (error) {
    english = (error as Error).message;
  }
  const said = translateError(english, 'fr').replaceAll('\u00a0', ' ').replace(/\d+/g, 'N');
  expect(said).toBe(`Attendu du YAML dans FILE, obtenu : ${french}, ligne N, colonne N`);
});

test.each([
  [Math.round(-0.3), undefined, '0', '0'],
  [-0.04, 1, '0.0', '0,0'],
  [-0.3, undefined, '-0.3', '-0,3'],
  [-2, undefined, '-2', '-2'],
])('%d with %s decimals is formatted as %s, in French as %s: zero has no sign', (value, decimals, english, french) => {
  expect(formatNumber(value, 'en', decimals)).toBe(english);
  expect(formatNumber(value, 'fr', decimals)).toBe(french);
});

test('a measured value in a French error has a decimal comma; a path or version keeps its point', () => {
  const cut = 'Expected a wav, flac, ogg or mp3 file at 2.5 s.wav, got: a file that is damaged or cut short: 2.379 s of sound, not 26.000 s';
  expect(translateError(cut, 'fr')).toMatch(/ 2\.5 s\.wav.* 2,379\u00a0s de son, et non 26,000\u00a0s$/);
  expect(translateError('Expected an outbox at /srv/1.5, got: disk I/O error', 'fr')).toContain('/srv/1.5, obtenu');
});

test('a translated error keeps the details of its cause', () => {
  expect(translateError('Expected a configuration file at /a, got: ENOENT: no such file', 'fr')).toBe(
    'Attendu un fichier de configuration à /a, obtenu\u00a0: ENOENT: no such file',
  );
  const said = (cause: string) => translateError(`Expected a configuration file at /a, got: ${cause}`, 'fr').split(' obtenu\u00a0: ')[1];
  expect(said("ENOENT: no such file or directory, open '/b'")).toBe('/b\u00a0: fichier ou dossier absent (ENOENT)');
  // already named
  expect(said("ENOENT: no such file or directory, open '/a'")).toBe('fichier ou dossier absent (ENOENT)');
  expect(said('EISDIR: illegal operation on a directory, read')).toBe('c’est un dossier (EISDIR)');
  expect(translateError('something else', 'fr')).toBe('something else');
  const reason = "ENOENT: no such file or directory, open '/b'"; // on its own, as a check of doctor passes it on
  expect(openTranslate('fr')('doctor.dates.unreadable', { whose: 'x', reason })).toBe('x est illisible\u00a0: /b\u00a0: fichier ou dossier absent (ENOENT)');
  for (const [english, french] of Object.entries(frenchErrors)) for (const name of placeholders(french)) expect(placeholders(english), english).toContain(name);
});

test('every error form gets its own French translation, even if another form would match too', () => {
  for (const [english, french] of Object.entries(frenchErrors)) {
    const filled = (form: string) => form.replace(/\{(\d)\}/g, 'x$1');
    expect(translateError(filled(english), 'fr')).toBe(filled(typeset(french, 'fr')));
  }
});

test('configuration errors are plain sentences, in French too', () => {
  const wrong = { site: [1], microphone: { sampleRateHz: 5, device: 'hw:1', splAtFullScaleDb: 500, silenceTimeoutSeconds: 0, file: '', adapter: 'x' } };
  const more = { model: { open: { shout: 2, dog: 1 } }, outbox: { maxMegabytes: 'big', maxEventsPerMinute: 1.5 }, log: 3 };
  const mqtt = { url: 'http://x', allowPlaintext: 3, protocol: 5, username: 'x'.repeat(200) };
  const found: string[] = [];
  for (const value of [
    { ...wrong, ...more, mqtt },
    { site: 'a', sensor: 'b', microphone: { adapter: 'file' }, mqtt: { url: 'mqtt://h', keyFile: 'k', passwordFile: 'p' } },
  ])
    try {
      checkConfig(value, 'a.yaml');
    } catch (error) {
      found.push((error as Error).message);
    }
  expect(found).toHaveLength(2);
  const english = found.join('\n');
  for (const said of [
    'sampleRateHz: expected one of 16000, 44100, 48000, got 5',
    'silenceTimeoutSeconds: expected at least 1, got 0',
    'mqtt.allowPlaintext: expected true or false',
  ])
    expect(english).toContain(said);
  expect(english).not.toMatch(/Invalid|Too (small|big)|expected (string|number|int|object|boolean)/);
  const french = found.map((message) => translateError(message, 'fr')).join('\n');
  expect(french).not.toMatch(/expected|got|nothing/);
  expect(french).toContain('  sensor\u00a0: attendu un texte, obtenu rien');
  expect(translateError('mqtt.keyFile: expected text, got "(redacted)"', 'fr')).toBe('mqtt.keyFile\u00a0: attendu un texte, obtenu "(masqué)"');
});

test('the language comes from --lang, then LC_ALL, LC_MESSAGES and LANG', () => {
  expect(languageOf([], {})).toBe('en');
  expect(languageOf([], { LANG: 'fr_FR.UTF-8' })).toBe('fr');
  expect(languageOf([], { LC_ALL: 'C', LANG: 'fr_FR.UTF-8' })).toBe('en');
  expect(languageOf([], { LC_ALL: '', LC_MESSAGES: 'fr', LANG: 'en_GB' })).toBe('fr');
  expect(languageOf([], { LANG: 'fro_XX' })).toBe('en');
  expect(languageOf(['doctor', '--lang', 'en'], { LANG: 'fr_FR' })).toBe('en');
  expect(languageOf(['doctor', '--lang=fr'], {})).toBe('fr');
});

test('a message nested in another message is in the same language', () => {
  const found = text('doctor.needs', { check: text('doctor.name.clock') });
  expect(openTranslate('fr').of(found)).toContain('horloge');
  expect(openTranslate('en').of(found)).toContain('clock');
});

test('French numbers have a decimal comma, and a no-break space before punctuation and units', () => {
  const [en, fr] = [openTranslate('en'), openTranslate('fr')];
  expect(fr('size.of', { size: fixed(0.04, 1), max: 64 })).toBe('0,0\u00a0Mo sur 64');
  expect(en('size.of', { size: fixed(0.04, 1), max: 64 })).toBe('0.0 of 64 MB');
  expect(fr('calibrate.put', { seconds: 2.5 })).toContain('2,5\u00a0s au plus');
  expect(fr('doctor.port.ok', { host: 'a', port: 18883, ms: 3 })).toContain('18883');
  expect(fr.measure(1234.5, 'dB')).toBe('1234,5\u00a0dB');
  expect(fr.list(['0,5', '0,6'])).toBe('0,5\u00a0; 0,6');
  // in every message: no punctuation sign or unit that could begin a line
  const parted = Object.values(catalogue).flatMap(({ fr: form }) => typeset(form, 'fr').match(/.{0,12} (?:[;!?%»]|:(?!\w))/g) ?? []);
  expect(parted).toEqual([]);
});

test('text is wrapped to the width of the screen, and colour is used only on a terminal', () => {
  const broken = wrap('a hint that is longer than the narrow screen of a telephone', 30, 5);
  for (const line of broken.split('\n')) expect(line.length).toBeLessThanOrEqual(30);
  expect(broken.split('\n')[1]).toMatch(/^ {5}\S/);
  expect(wrap('  a problem of its own that is long', 20, 3)).toBe('  a problem of\n       its own that\n       is long');
  const pipe = screenOf({ isTTY: false, columns: undefined } as never);
  expect(pipe.colours.red('x')).toBe('x');
  expect(pipe.columns).toBe(80);
});
