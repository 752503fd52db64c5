const counts = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })

/** What stands where a figure is not known yet. */
export const unknown = '–'

export function formatCount(value: number): string {
  return counts.format(value)
}

export function formatLoss(value: number): string {
  return value.toFixed(3)
}

export function formatShare(value: number): string {
  return `${(100 * value).toFixed(1)} %`
}

export function formatBytes(value: number): string {
  if (value < 1024) return `${value} B`
  if (value < 1024 ** 2) return `${(value / 1024).toFixed(1)} KB`
  if (value < 1024 ** 3) return `${(value / 1024 ** 2).toFixed(1)} MB`
  return `${(value / 1024 ** 3).toFixed(1)} GB`
}

export function formatDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  const parts = [Math.floor(seconds / 60) % 60, seconds % 60].map((part) => String(part).padStart(2, '0'))
  const hours = Math.floor(seconds / 3600)
  return hours > 0 ? `${hours}:${parts.join(':')}` : parts.join(':')
}

/** As a sentence begins. */
export function capitalised(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1)
}

/** A figure that may not be known yet. */
export function orUnknown<T>(value: T | null | undefined, format: (value: T) => string): string {
  return value === null || value === undefined ? unknown : format(value)
}
