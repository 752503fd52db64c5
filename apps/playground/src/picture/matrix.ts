/** Numbers in rows and columns, and what they are called. */
export interface Matrix {
  readonly rows: number
  readonly columns: number
  /** Row by row. */
  readonly values: ArrayLike<number>
  readonly rowName: (row: number) => string
  readonly columnName: (column: number) => string
}

export function valueAt({ columns, values }: Matrix, row: number, column: number): number {
  return values[row * columns + column] as number
}

export function numbers(length: number, first = 1): string[] {
  return Array.from({ length }, (_, i) => String(first + i))
}
