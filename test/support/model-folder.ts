import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder with a graph and a manifest: the example of models/README.md with other fields. */
export function modelFolder(graph: Buffer, fields: Record<string, unknown>): string {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-model-'));
  const [, example = ''] = /```json\n(.*?)```/s.exec(readFileSync('models/README.md', 'utf8')) ?? [];
  const sha256 = createHash('sha256').update(graph).digest('hex');
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ ...JSON.parse(example), sha256, ...fields }));
  writeFileSync(join(folder, 'model.onnx'), graph);
  return folder;
}
