import { LineChart } from './line-chart'
import { shortNumber } from './scale'

const bins = 24

/** How often values fall into each of equal intervals from the smallest to the largest. */
export function Histogram({ title, values }: { readonly title: string; readonly values: ArrayLike<number> }) {
  const { counts, edge } = count(values)
  return (
    <LineChart
      title={title}
      series={[{ name: 'values', values: counts }]}
      along="value"
      nameAt={(i) => `${shortNumber(edge(i))} to ${shortNumber(edge(i + 1))}`}
      unit="times"
      bars
    />
  )
}

function count(values: ArrayLike<number>): { counts: number[]; edge: (i: number) => number } {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (let i = 0; i < values.length; i++) {
    low = Math.min(low, values[i] as number)
    high = Math.max(high, values[i] as number)
  }
  const width = (high - low) / bins || 1
  const counts = Array<number>(bins).fill(0)
  for (let i = 0; i < values.length; i++) {
    const bin = Math.min(bins - 1, Math.floor(((values[i] as number) - low) / width))
    counts[bin] = (counts[bin] as number) + 1
  }
  return { counts, edge: (i) => low + i * width }
}
