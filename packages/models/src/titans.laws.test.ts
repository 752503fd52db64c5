import { describePaper } from '@mneme/testing'
import type { AnyPaper } from './registry.js'
import titans, { moreTiny } from './titans.js'

for (const [name, tiny] of Object.entries(moreTiny)) {
  describePaper({ ...titans, card: { ...titans.card, key: `titans: ${name}` }, tiny } as unknown as AnyPaper)
}
