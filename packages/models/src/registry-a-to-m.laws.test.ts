import { describePaper } from '@mneme/testing'
import { loadPaper, paperKeys } from './registry.js'

// two files, so that two processes share the papers
for (const key of paperKeys) if (key < 'n') describePaper(await loadPaper(key))
