import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { mostBoots } from '../../agent/outbox/boots.ts';
import { mostModels } from '../../agent/outbox/known.ts';

const paths = globSync(['*.md', '{docs,models,deploy,systemd}/**/*.md']);
const read = (path: string) => readFileSync(path, 'utf8');
const named = (form: RegExp) => paths.flatMap((path) => [...read(path).matchAll(form)].map(([, name = '']) => ({ path, name })));

/** The anchors of a page, made of its headings as GitHub makes them. */
function anchorsOf(path: string): string[] {
  const headings = read(path)
    .replace(/^```.*?^```/gms, '')
    .matchAll(/^#+ (.*)$/gm);
  return [...headings].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

test('each link between the documents leads to a file, and to a heading where it names one', () => {
  const links = named(/\]\(([^)\s]+)\)/g).filter(({ name }) => !/^https?:/.test(name));
  const dead = links.filter(({ path, name }) => {
    const [file, anchor] = name.split('#');
    const target = file ? join(dirname(path), file) : path;
    return !existsSync(target) || (anchor !== undefined && !anchorsOf(target).includes(anchor));
  });
  expect(dead).toEqual([]);
  expect(links.length).toBeGreaterThan(150);
});

test('each test, source file and npm script that the documents name exists', () => {
  const tests = named(/`((?:[\w-]+\/)+[\w-]+\.test\.ts)`/g).filter(({ name }) => ![name, `test/${name}`].some((file) => existsSync(file)));
  const sources = named(/`((?:agent|deploy|models|systemd|test)\/[\w./-]+)`/g).filter(({ name }) => !existsSync(name));
  const { scripts } = JSON.parse(read('package.json'));
  const missing = named(/`(?:npx npm@11|npm) run (?:-s )?([\w-]+)/g).filter(({ name }) => !(name in scripts));
  expect([...tests, ...sources, ...missing]).toEqual([]);
});

test('both impact assessments have the same numbers, settings, commands and links', () => {
  const figures = (path: string) =>
    read(path)
      .replace(/(?<=\d)[,\u00a0\u202f ](?=\d{3}(?!\d))/g, '')
      .match(/\d+|`[^`]+`|\]\([^)]+\)/g)
      ?.filter((figure) => figure !== '`gap`') // which English calls a gap
      .toSorted();
  expect(figures('docs/dpia.fr.md')).toEqual(figures('docs/dpia.en.md'));
});

test('the impact assessments say how many boots and models stay that nothing refers to', () => {
  expect(read('docs/dpia.en.md')).toContain(`beyond that up to ${mostBoots} starts and ${mostModels} models`);
  expect(read('docs/dpia.fr.md')).toContain(`au-delà jusqu’à ${mostBoots} démarrages et ${mostModels} modèles`);
});

test('decision 10 names each function of libc that is bound', () => {
  const functions = [...read('agent/lib/libc.ts').matchAll(/libc\('\w+ (\w+)\(/g)].map(([, name]) => name);
  const decision = read('docs/decisions/0010-pings-come-from-work.md');
  expect(functions.filter((name) => !decision.includes(`\`${name}\``))).toEqual([]);
  expect(functions.length).toBeGreaterThan(6);
});
