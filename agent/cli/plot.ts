import { tenth } from '../lib/rounding.ts';
import { escapeHtml } from './html.ts';

interface Series {
  readonly name: string;
  readonly colour: string;
  /** `name` is told where the mark of a point is pointed at. */
  readonly points: readonly (readonly [x: number, y: number, name?: string])[];
  /** A mark at each point, at the threshold and in the key: wherever several series are drawn. */
  readonly dots?: boolean;
  /** A level that the series is held against, drawn dashed across. */
  readonly threshold?: number;
}

interface Axis {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  /** Decimals of the ticks. */
  readonly decimals?: number;
}

interface PlotOptions {
  readonly width: number;
  readonly height: number;
  /** A moment on the x axis, drawn across with its name. */
  readonly mark?: { readonly at: number; readonly name: string };
  /** How the ticks are written. */
  readonly number: (value: number, decimals: number) => string;
}

const [left, bottom, top, legend] = [60, 50, 20, 130];
const steps = [0, 0.25, 0.5, 0.75, 1];
// circle, square, triangle: they tell the series apart in grey print, and to readers who see the colours alike
const shapes = ['m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0', 'm-2.7-2.7h5.4v5.4h-5.4z', 'm0-4l3.6 6.4h-7.2z'];

/** Lines over two axes as one SVG element, which needs nothing beside it. */
export function plot(x: Axis, y: Axis, series: readonly Series[], { width, height, mark, number }: PlotOptions): string {
  const right = width - legend;
  const px = (value: number) => tenth(left + ((value - x.from) / (x.to - x.from || 1)) * (right - left));
  const py = (value: number) => tenth(height - bottom - ((value - y.from) / (y.to - y.from || 1)) * (height - bottom - top));
  const at = (axis: Axis, step: number) => axis.from + step * (axis.to - axis.from);
  const tick = (axis: Axis, step: number) => number(at(axis, step), axis.decimals ?? 0);
  const text = (px: number, py: number, said: string, more = '') => `<text x="${px}" y="${py}"${more}>${escapeHtml(said)}</text>`;
  const middle = ' text-anchor="middle"';
  const grid = steps.map(
    (step) =>
      `<path d="M${left} ${py(at(y, step))}H${right}M${px(at(x, step))} ${py(y.from)}V${py(y.to)}" stroke="#e9ecef"/>` +
      text(left - 8, py(at(y, step)) + 4, tick(y, step), ' text-anchor="end"') +
      text(px(at(x, step)), height - bottom + 18, tick(x, step), middle),
  );
  const lines = series.map(({ name, colour, points, dots, threshold }, i) => {
    const path = points.map(([a, b]) => `${px(a)},${py(b)}`).join(' ');
    const shape = (x: number, y: number, said = '') => `<path d="M${x} ${y}${shapes[i % shapes.length]}" fill="${colour}">${said}</path>`;
    const marks = dots ? points.map(([a, b, name]) => shape(px(a), py(b), name && `<title>${escapeHtml(name)}</title>`)).join('') : '';
    const key = dots ? shape(right + 15, 36 + i * 22) : '';
    const dashes = (level: number) => `<path d="M${left} ${level}H${right}" stroke="${colour}" stroke-dasharray="4 4" stroke-width="1"/>`;
    const held = threshold === undefined ? '' : `${dashes(py(threshold))}${dots ? shape(right, py(threshold)) : ''}`;
    return `${held}<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>${marks}${key}${text(right + (dots ? 24 : 12), 40 + i * 22, name, ` fill="${colour}"`)}`;
  });
  const moment = mark
    ? `<path d="M${px(mark.at)} ${py(y.from)}V${py(y.to)}" stroke="#495057" stroke-dasharray="2 3"/>${text(px(mark.at), top - 6, mark.name, middle)}`
    : '';
  const titles = `${text((left + right) / 2, height - 8, x.name, middle)}<text transform="translate(16 ${(top + height - bottom) / 2}) rotate(-90)"${middle}>${escapeHtml(y.name)}</text>`;
  const label = escapeHtml(`${y.name}, ${x.name}`);
  return `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-size="13" font-family="system-ui,'DejaVu Sans',sans-serif" role="img" aria-label="${label}">${grid.join('')}${moment}${lines.join('')}${titles}</svg>`;
}
