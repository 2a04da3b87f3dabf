/**
 * An ONNX graph (protobuf wire format, onnx.proto of ONNX 1.x) that multiplies `audio`, 1 by 4, by weights of 4 by 4
 * in another file, whose path is relative to the working folder.
 */
export function graphWithWeightsIn(path: string): Buffer<ArrayBuffer> {
  const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]);
  const int = (field: number, value: number) => [...varint(field << 3), ...varint(value)];
  const part = (field: number, ...bytes: number[][]) => [...varint((field << 3) | 2), ...varint(bytes.flat().length), ...bytes.flat()];
  const text = (field: number, value: string) => part(field, [...Buffer.from(value)]);
  const shape = part(2, part(1, int(1, 1)), part(1, int(1, 4)));
  const value = (name: string) => [...text(1, name), ...part(2, part(1, int(1, 1), shape))];
  const outside = [...part(13, text(1, 'location'), text(2, path)), ...int(14, 1)];
  const weights = [...int(1, 4), ...int(1, 4), ...int(2, 1), ...text(8, 'weights'), ...outside];
  const node = [...text(1, 'audio'), ...text(1, 'weights'), ...text(2, 'tags'), ...text(4, 'MatMul')];
  const graph = part(7, part(1, node), text(2, 'graph'), part(5, weights), part(11, value('audio')), part(12, value('tags')));
  return Buffer.from([...int(1, 8), ...part(8, int(2, 13)), ...graph]);
}
