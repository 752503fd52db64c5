import '../../style/device.css'
import '../../style/picture.css'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { BackendName } from '../../protocol'
import { Station } from '../../station'
import type { AdapterFacts, DeviceReport } from '../../worker/helper/device'
import { download } from '../download'
import { formatBytes, formatCount } from '../format'
import { Scrolled } from '../scrolled'

const backends: readonly { readonly key: BackendName; readonly title: string }[] = [
  { key: 'wasm', title: 'WebAssembly' },
  { key: 'webgpu', title: 'WebGPU' },
  { key: 'cpu', title: 'Plain JavaScript' },
]

type Outcome = DeviceReport | { readonly problem: string } | 'running' | null

/** Kernels on this device, each held to its reference. */
export default function Device() {
  const [outcomes, setOutcomes] = useState<Readonly<Partial<Record<BackendName, Outcome>>>>({})
  const station = useRef<Station | null>(null)
  const test = async (key: BackendName): Promise<void> => {
    station.current?.close()
    station.current = new Station()
    const tell = (outcome: Outcome): void => setOutcomes((all) => ({ ...all, [key]: outcome }))
    tell('running')
    try {
      tell(await station.current.ask('device', key))
    } catch (error) {
      tell({ problem: (error as Error).message })
    } finally {
      station.current.close()
    }
  }
  useEffect(() => {
    void test('wasm')
    return () => station.current?.close()
  }, [])
  const running = Object.values(outcomes).includes('running')
  return (
    <section class="device" aria-labelledby="device-title">
      <h2 id="device-title">This device</h2>
      <p class="words">
        Every op has a reference in plain operations, and on some backends a faster kernel. The self-test runs each
        kernel beside its reference, outputs and gradients, at awkward sizes. A kernel that differs is taken out of use,
        and its reference runs instead, in every run that starts after. A graphics card is tested so before its first
        run. Nothing is sent anywhere: the report is yours to copy.
      </p>
      {backends.map(({ key, title }) => (
        <BackendSection
          key={key}
          title={title}
          outcome={outcomes[key] ?? null}
          disabled={running}
          onTest={() => void test(key)}
        />
      ))}
    </section>
  )
}

interface SectionProps {
  readonly title: string
  readonly outcome: Outcome
  readonly disabled: boolean
  readonly onTest: () => void
}

function BackendSection({ title, outcome, disabled, onTest }: SectionProps) {
  const report = outcome !== null && outcome !== 'running' && 'selfTest' in outcome ? outcome : null
  return (
    <section aria-label={title}>
      <h3>{title}</h3>
      <p class="row">
        <button type="button" disabled={disabled} onClick={onTest}>
          {outcome === 'running' ? 'Testing' : outcome === null ? 'Run the self-test' : 'Run again'}
        </button>
        {report !== null && (
          <button
            type="button"
            onClick={() =>
              download(`mneme-${report.selfTest.backend}.json`, JSON.stringify(report, null, 2), 'application/json')
            }
          >
            Download report
          </button>
        )}
        <span role="status" class="quiet">
          {statusOf(outcome)}
        </span>
      </p>
      {outcome !== null && outcome !== 'running' && 'problem' in outcome && (
        <p class="problem" role="alert">
          {outcome.problem}
        </p>
      )}
      {report !== null && <Report report={report} title={title} />}
    </section>
  )
}

function statusOf(outcome: Outcome): string {
  if (outcome === null) return 'Not tested yet.'
  if (outcome === 'running') return 'Testing every kernel.'
  if ('problem' in outcome) return 'Not available.'
  const { verdicts, timeMs } = outcome.selfTest
  const count = (...kinds: string[]): number => verdicts.filter(({ verdict }) => kinds.includes(verdict)).length
  const wrong = count('differs', 'fails')
  const kernels = verdicts.length - count('reference')
  return `${count('agrees')} of ${kernels} kernels agree, ${wrong === 0 ? 'none fell back' : `${wrong} fell back to the reference`}; ${formatCount(timeMs)} ms.`
}

const words = { agrees: 'agrees', differs: 'differs', fails: 'fails', reference: 'no kernel' } as const

function Report({ report, title }: { readonly report: DeviceReport; readonly title: string }) {
  const { selfTest, adapter, refusals, cores } = report
  return (
    <>
      <dl class="device-facts">
        <dt>Processor</dt>
        <dd>
          {cores} threads, {report.crossOriginIsolated ? 'isolated from other origins' : 'not isolated'}
        </dd>
        {selfTest.backend === 'webgpu' && adapter !== null && <Adapter adapter={adapter} />}
      </dl>
      <Scrolled label={`Kernels of ${title}`}>
        <table>
          <thead class="head">
            <tr>
              <th scope="col">op</th>
              <th scope="col">verdict</th>
              <th scope="col">relative error</th>
              <th scope="col" class="detail">
                largest at
              </th>
            </tr>
          </thead>
          <tbody>
            {selfTest.verdicts.map(({ op, verdict, error, detail }) => (
              <tr key={op}>
                <th scope="row">{op}</th>
                <td class={`verdict ${verdict}`}>{words[verdict]}</td>
                <td>{verdict === 'reference' ? '–' : error.toExponential(1)}</td>
                <td class="detail">{detail}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scrolled>
      {refusals.length > 0 && (
        <details>
          <summary>Calls that kernels have refused</summary>
          <ul>
            {refusals.map((refusal) => (
              <li key={refusal}>{refusal}</li>
            ))}
          </ul>
        </details>
      )}
    </>
  )
}

function Adapter({ adapter }: { readonly adapter: AdapterFacts }) {
  const { vendor, architecture, device, description, features, limits } = adapter
  return (
    <>
      <dt>Adapter</dt>
      <dd>{[vendor, architecture, device, description].filter((part) => part !== '').join(', ')}</dd>
      <dt>Features</dt>
      <dd>{features.length === 0 ? 'none' : features.join(', ')}</dd>
      {Object.entries(limits).map(([name, value]) => [
        <dt key={name}>
          <code>{name}</code>
        </dt>,
        <dd key={`${name} value`}>{/Size$/.test(name) ? formatBytes(value) : formatCount(value)}</dd>,
      ])}
    </>
  )
}
