/** Points of one colour, joined in the order of x. */
export interface Series {
  readonly name: string
  readonly points: readonly { readonly x: number; readonly y: number }[]
}

export interface Picture {
  readonly title: string
  /** Drawn by its logarithm to base two. */
  readonly x: string
  /** Drawn from 0 to 1. */
  readonly y: string
  readonly series: readonly Series[]
}

const size = { width: 720, height: 420 }
const frame = { left: 64, top: 44, right: 548, bottom: 360 }

// told apart by people who see colours differently (Okabe and Ito 2008), and by their marks
const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#555555'] as const
const marks = ['circle', 'square', 'diamond'] as const

/** A plot of shares against sizes, as SVG: readable on light and dark pages. */
export function picture({ title, x, y, series }: Picture): string {
  const exponents = series.flatMap(({ points }) => points.map((point) => Math.log2(point.x)))
  const [first, last] = [Math.floor(Math.min(...exponents)), Math.ceil(Math.max(...exponents))]
  const across = (value: number): number =>
    frame.left + ((Math.log2(value) - first) / Math.max(1, last - first)) * (frame.right - frame.left)
  const up = (value: number): number => frame.bottom - value * (frame.bottom - frame.top)
  const body = [
    `<rect width="${size.width}" height="${size.height}" fill="#ffffff"/>`,
    text(frame.left, 24, title, 'font-size="15" font-weight="bold"'),
    ...[0, 0.25, 0.5, 0.75, 1].map(
      (share) =>
        line(frame.left, up(share), frame.right, up(share), '#dddddd') +
        text(frame.left - 8, up(share) + 4, `${100 * share} %`, 'text-anchor="end"'),
    ),
    ...Array.from({ length: last - first + 1 }, (_, i) => 2 ** (first + i)).map((bytes) =>
      text(across(bytes), frame.bottom + 18, sizeText(bytes), 'text-anchor="middle"'),
    ),
    text((frame.left + frame.right) / 2, frame.bottom + 42, x, 'text-anchor="middle"'),
    text(frame.left, frame.top - 6, y, ''),
    ...series.map((one, i) => drawn(one, i, across, up)),
  ]
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" font-family="sans-serif" font-size="12" fill="#222222" role="img" aria-label="${escaped(title)}">`,
    ...body,
    '</svg>',
    '',
  ].join('\n')
}

function drawn(
  { name, points }: Series,
  index: number,
  across: (value: number) => number,
  up: (value: number) => number,
): string {
  const colour = colours[index % colours.length] as string
  const shape = marks[index % marks.length] as (typeof marks)[number]
  const ordered = [...points].sort((a, b) => a.x - b.x)
  const path = ordered.map((p) => `${round(across(p.x))},${round(up(p.y))}`).join(' ')
  const row = frame.top + 10 + 22 * index
  return [
    `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`,
    ...ordered.map((p) => mark(shape, across(p.x), up(p.y), colour)),
    mark(shape, frame.right + 24, row, colour),
    text(frame.right + 36, row + 4, name, ''),
  ].join('\n')
}

function mark(shape: (typeof marks)[number], x: number, y: number, colour: string): string {
  const [cx, cy] = [round(x), round(y)]
  if (shape === 'circle') return `<circle cx="${cx}" cy="${cy}" r="4.5" fill="${colour}"/>`
  const turned = shape === 'diamond' ? ` transform="rotate(45 ${cx} ${cy})"` : ''
  return `<rect x="${round(x - 4)}" y="${round(y - 4)}" width="8" height="8" fill="${colour}"${turned}/>`
}

const line = (x1: number, y1: number, x2: number, y2: number, colour: string): string =>
  `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="${colour}"/>`

const text = (x: number, y: number, words: string, rest: string): string =>
  `<text x="${round(x)}" y="${round(y)}"${rest === '' ? '' : ` ${rest}`}>${escaped(words)}</text>`

const round = (value: number): number => Math.round(10 * value) / 10

const sizeText = (bytes: number): string =>
  bytes < 1024 ? `${bytes} B` : bytes < 1024 ** 2 ? `${bytes / 1024} KiB` : `${bytes / 1024 ** 2} MiB`

const escaped = (words: string): string =>
  words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
