const size = { width: 760, height: 380 }
const panel = { width: 300, height: 120, left: 70, top: 40, across: 370, down: 170 }
const measures = [
  { key: 'tensors', title: 'live tensors', of: (sample) => sample.tensors, colour: '#0072b2' },
  { key: 'rss', title: 'memory of the process, MiB', of: (sample) => sample.rss / 2 ** 20, colour: '#d55e00' },
]

const round = (value) => Math.round(10 * value) / 10
const text = (x, y, words, rest = '') => `<text x="${round(x)}" y="${round(y)}" ${rest}>${words}</text>`

/** Tensors and memory over the course of each part, from zero up, as SVG. */
export function panels(parts) {
  const drawn = parts.flatMap((part, column) => measures.map((measure, row) => one(part, measure, column, row)))
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" font-family="sans-serif" font-size="12" fill="#222222" role="img" aria-label="Live tensors and memory over long runs">`,
    `<rect width="${size.width}" height="${size.height}" fill="#ffffff"/>`,
    ...drawn,
    '</svg>',
    '',
  ].join('\n')
}

function one({ name, unit, of: length, seen }, { title, of, colour }, column, row) {
  const [left, top] = [panel.left + column * panel.across, panel.top + row * panel.down]
  const bottom = top + panel.height
  const highest = 1.25 * Math.max(...seen.map(of))
  const points = seen.map((sample) => {
    const [x, y] = [left + (sample.at / length) * panel.width, bottom - (of(sample) / highest) * panel.height]
    return `${round(x)},${round(y)}`
  })
  const last = of(seen[seen.length - 1])
  return [
    text(left, top - 10, `${name}: ${title}`, 'font-weight="bold"'),
    `<path d="M${left} ${top}V${bottom}H${left + panel.width}" fill="none" stroke="#888888"/>`,
    text(left - 8, bottom + 4, '0', 'text-anchor="end"'),
    text(left - 8, round(bottom - (last / highest) * panel.height) + 4, `${Math.round(last)}`, 'text-anchor="end"'),
    text(left + panel.width, bottom + 16, `${length.toLocaleString('en')} ${unit}`, 'text-anchor="end"'),
    `<polyline points="${points.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
  ].join('\n')
}
