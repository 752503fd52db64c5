import { formatBytes, formatCount } from '../format'
import { Scrolled } from '../scrolled'
import type { ClaimEntry } from './paper-pages'

/** What was measured for a claim, whichever way it went. */
export function ClaimTable({ claim, of }: { readonly claim: ClaimEntry; readonly of: string }) {
  const { verdict, rows, asked, done } = claim
  const standing = verdict === null ? 'open' : verdict.pass ? 'passes' : 'fails'
  return (
    <section class={`claim ${standing}`} aria-label={claim.title}>
      <h4>
        {claim.title} <span class="standing">{standing === 'open' ? `${done} of ${asked} runs` : standing}</span>
      </h4>
      <p>{claim.sentence}</p>
      <p class="quiet">{claim.setting}</p>
      {verdict !== null && <p>{verdict.because}</p>}
      {rows.length > 0 && (
        <Scrolled label={`Figures of ${claim.title}`}>
          <table>
            <thead class="head">
              <tr>
                <th scope="col">run</th>
                <th scope="col">{claim.measure}</th>
                <th scope="col">seeds</th>
                <th scope="col">parameters</th>
                <th scope="col">state of a row</th>
              </tr>
            </thead>
            <tbody>
              {rows.map(({ label, paper, median, spread, seeds, parameters, stateBytes }) => (
                <tr key={label} class={paper === of ? 'own' : undefined}>
                  <th scope="row">{label}</th>
                  <td>
                    {median}
                    {spread !== null && <span class="quiet"> ({spread})</span>}
                  </td>
                  <td>{seeds}</td>
                  <td>{formatCount(parameters)}</td>
                  <td>{formatBytes(stateBytes)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scrolled>
      )}
    </section>
  )
}
