import { LineCounter, parseDocument } from 'yaml';
import { ConfigError } from '../lib/errors.ts';
import { isPasted, printable } from './problems.ts';

/**
 * Returns the value of a YAML text: groups, lists, text, numbers. Throws a ConfigError that names the place of a
 * mistake but shows nothing of the text there, which may be a secret with a missing quote.
 */
export function readYaml(text: string, path: string): unknown {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, resolveKnownTags: false, logLevel: 'error' });
  const [wrong] = [...document.errors, ...document.warnings];
  if (wrong) {
    const { line, col } = lines.linePos(wrong.pos[0]);
    const deep = wrong.code === 'RESOURCE_EXHAUSTION'; // its message is that of the stack
    const what = deep ? 'a value nested too deeply' : wrong.message.replace(/: .*/s, ''); // the text of the file follows the colon
    throw new ConfigError(
      `Expected YAML in ${path}, got: ${printable(what)} at line ${line}, column ${col}`,
      isPasted(text.split('\n')[line - 1] ?? '')
        ? 'type the blanks, quotes and hyphens of the line named anew: some of them came from a document'
        : 'check the line named: indentation, quotes, a space behind the colon, a key that is there twice',
    );
  }
  try {
    const value: unknown = document.toJS();
    JSON.stringify(value); // throws for a value that contains itself
    return value;
  } catch (cause) {
    throw new ConfigError(
      `Expected YAML in ${path}, got: an alias (*name) that is undefined, contains itself or is repeated too often`,
      'write the value itself in place of each *name',
      {
        cause,
      },
    );
  }
}
