import type { Experiment } from '@mneme/training'
import { defaultSetup, writeAddress } from '../experiment/address'

/** The address that opens experiments for training, whatever runs now. */
export function addressOfExperiments(experiments: readonly Experiment[]): string {
  return `#${writeAddress({ ...defaultSetup(), experiments: experiments as never })}`
}
