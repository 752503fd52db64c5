import { shortNumber } from '../../picture/scale'
import type { CheckpointFacts } from '../../worker/helper/open'
import { formatCount } from '../format'
import { Scrolled } from '../scrolled'

/** The parameters of a checkpoint, and its configuration. */
export function CheckpointTable({ facts }: { readonly facts: CheckpointFacts }) {
  return (
    <>
      <details>
        <summary>Configuration</summary>
        <dl class="configuration">
          {Object.entries(facts.config).map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{JSON.stringify(value)}</dd>
            </div>
          ))}
        </dl>
      </details>
      <details open>
        <summary>Parameters</summary>
        <Scrolled label="Parameters">
          <table>
            <thead class="head">
              <tr>
                <th scope="col">path</th>
                <th scope="col">shape</th>
                <th scope="col">values</th>
                <th scope="col">mean</th>
                <th scope="col">deviation</th>
              </tr>
            </thead>
            <tbody>
              {facts.parameters.map(({ path, shape, count, mean, deviation }) => (
                <tr key={path}>
                  <th scope="row">
                    <code>{path}</code>
                  </th>
                  <td>[{shape.join(', ')}]</td>
                  <td>{formatCount(count)}</td>
                  <td>{shortNumber(mean)}</td>
                  <td>{shortNumber(deviation)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scrolled>
      </details>
    </>
  )
}
