import { LineCounter, parseDocument } from 'yaml';
import { ConfigError } from '../lib/errors.ts';
import { printable } from './problems.ts';

/**
 * The value that a YAML text holds: groups, lists, text, numbers. Throws a ConfigError, which names the place and shows nothing of what
 * stands there: that may be a secret with a quote too few.
 */
export function readYaml(text: string, path: string): unknown {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, resolveKnownTags: false, logLevel: 'error' });
  const [wrong] = [...document.errors, ...document.warnings];
  if (wrong) {
    const { line, col } = lines.linePos(wrong.pos[0]);
    const what = wrong.message.replace(/: .*/s, ''); // behind it, the text itself
    throw new ConfigError(`Expected YAML in ${path}, got: ${printable(what)} at line ${line}, column ${col}`, 'check indentation and quotes at the line named');
  }
  try {
    const value: unknown = document.toJS();
    JSON.stringify(value); // what holds itself has no end
    return value;
  } catch (cause) {
    throw new ConfigError(
      `Expected YAML in ${path}, got: an alias (*name) of nothing, of itself or of too much`,
      'write the value in the place of each *name',
      {
        cause,
      },
    );
  }
}
