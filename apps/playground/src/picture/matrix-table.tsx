import { useState } from 'preact/hooks'
import { Scrolled } from '../view/scrolled'
import { type Matrix, valueAt } from './matrix'
import { shortNumber } from './scale'

/** Cells that a table shows at the most; a browser takes long for more. */
const mostCells = 4096

interface Props {
  readonly title: string
  readonly matrix: Matrix
  readonly axes: { readonly rows: string; readonly columns: string }
}

/** The numbers behind a picture, made when they are asked for. */
export function MatrixTable({ title, matrix, axes }: Props) {
  const [open, setOpen] = useState(false)
  return (
    <details class="values" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>The values as a table</summary>
      {open && <Numbers title={title} matrix={matrix} axes={axes} />}
    </details>
  )
}

function Numbers({ title, matrix, axes }: Props) {
  const { rows, columns, rowName, columnName } = matrix
  const shownColumns = Math.min(columns, 64)
  const shownRows = Math.min(rows, Math.floor(mostCells / shownColumns))
  const whole = shownRows === rows && shownColumns === columns
  const list = (count: number): number[] => Array.from({ length: count }, (_, i) => i)
  return (
    <Scrolled label={`${title} as a table`}>
      <table>
        <caption>
          {title}
          {whole ? '' : `: the first ${shownRows} rows and ${shownColumns} columns of ${rows} and ${columns}`}
        </caption>
        <thead class="head">
          <tr>
            <th scope="col">
              {axes.rows}, {axes.columns}
            </th>
            {list(shownColumns).map((column) => (
              <th key={column} scope="col">
                {columnName(column)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {list(shownRows).map((row) => (
            <tr key={row}>
              <th scope="row">{rowName(row)}</th>
              {list(shownColumns).map((column) => (
                <td key={column}>{shortNumber(valueAt(matrix, row, column))}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scrolled>
  )
}
