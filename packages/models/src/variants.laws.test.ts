import { describePaper } from '@mneme/testing'
import { smallForms } from '@mneme/testing/small-forms'
import { paperKeys } from './registry.js'

// what the tiny configuration of a paper does not reach
for (const { name, paper } of await smallForms(paperKeys, (key) => import(`./${key}.ts`))) {
  if (name.includes(': ')) describePaper(paper)
}
