import type { Evaluation, Experiment } from '@mneme/training'
import { signal } from '@preact/signals'
import type { BackendName, RunFacts } from '../protocol'
import { experimentId } from './starting-point'

/** A run that has ended, as the table remembers it. */
export interface RunRecord {
  /** The experiment's name; a later run of the same takes the place of the earlier. */
  readonly id: string
  readonly experiment: Experiment
  readonly facts: RunFacts
  readonly backend: BackendName | null
  readonly step: number
  readonly seconds: number
  readonly trainingLoss: number | null
  readonly evaluation: Evaluation | null
}

const storageKey = 'mneme-runs'
const mostRecords = 200

/** Newest first. */
export const records = signal<readonly RunRecord[]>(load())

export function remember(record: RunRecord): void {
  keep([record, ...records.value.filter(({ id }) => id !== record.id)].slice(0, mostRecords))
}

export function forget(id: string): void {
  keep(records.value.filter((record) => record.id !== id))
}

export function findRecord(experiment: Experiment): RunRecord | undefined {
  const id = experimentId(experiment)
  return records.value.find((record) => record.id === id)
}

function keep(next: readonly RunRecord[]): void {
  records.value = next
  try {
    localStorage.setItem(storageKey, JSON.stringify(next))
  } catch {
    // a full or forbidden storage: they stay for this visit
  }
}

function load(): RunRecord[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(storageKey) ?? '[]')
    return Array.isArray(kept) ? kept.filter(isRecord) : []
  } catch {
    return []
  }
}

/** What an older or another page left under the name is passed over. */
function isRecord(value: unknown): value is RunRecord {
  const { id, experiment, facts, step, seconds } = (value ?? {}) as Partial<RunRecord>
  return (
    typeof id === 'string' &&
    typeof experiment === 'object' &&
    typeof facts?.stateBytes === 'number' &&
    typeof step === 'number' &&
    typeof seconds === 'number'
  )
}
