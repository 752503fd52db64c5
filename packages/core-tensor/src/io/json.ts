/** Deeper nesting than any header or configuration has, and far from the end of the call stack. */
const maxDepth = 200

/**
 * Reads JSON as `JSON.parse` does, but a key given twice in one object is an error.
 * With `nonFinite`, bare `NaN`, `Infinity` and `-Infinity` are numbers, as Python's json writes them.
 *
 * @throws SyntaxError with the position
 */
export function parseJson(text: string, options: { readonly nonFinite?: boolean } = {}): unknown {
  return new Parser(text, options.nonFinite ?? false).document()
}

/**
 * Reads a `config.json`, in which Python may have written bare `NaN` and `Infinity`.
 *
 * @throws SyntaxError naming `where` if the text is not JSON; TypeError if it is not an object
 */
export function parseConfigJson(text: string, where = 'config.json'): Record<string, unknown> {
  let value: unknown
  try {
    value = parseJson(text, { nonFinite: true })
  } catch (error) {
    throw new SyntaxError(`${where}: expected JSON, got ${(error as Error).message}.`, { cause: error })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError(`${where}: expected an object, got ${Array.isArray(value) ? 'an array' : String(value)}.`)
  }
  return value as Record<string, unknown>
}

/** Writes JSON that `parseConfigJson` reads back unchanged, non-finite numbers and negative zero included. */
export function formatConfigJson(value: unknown, indent = 2): string {
  return format(value, indent, '\n')
}

function format(value: unknown, indent: number, newline: string): string {
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value)
  if (typeof value !== 'object' || value === null) {
    const text = JSON.stringify(value)
    if (text === undefined) throw new TypeError(`formatConfigJson: expected plain data, got ${typeof value}.`)
    return text
  }
  const inner = indent === 0 ? '' : newline + ' '.repeat(indent)
  const outer = indent === 0 ? '' : newline
  const items = Array.isArray(value)
    ? value.map((item) => format(item, indent, inner))
    : Object.entries(value)
        .filter(([, item]) => item !== undefined)
        .map(([key, item]) => `${JSON.stringify(key)}:${indent === 0 ? '' : ' '}${format(item, indent, inner)}`)
  const [open, close] = Array.isArray(value) ? ['[', ']'] : ['{', '}']
  return items.length === 0 ? open + close : open + inner + items.join(`,${inner}`) + outer + close
}

const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const words: readonly (readonly [word: string, value: unknown, finite: boolean])[] = [
  ['true', true, true],
  ['false', false, true],
  ['null', null, true],
  ['NaN', Number.NaN, false],
  ['Infinity', Number.POSITIVE_INFINITY, false],
  ['-Infinity', Number.NEGATIVE_INFINITY, false],
]

class Parser {
  private at = 0

  constructor(
    private readonly text: string,
    private readonly nonFinite: boolean,
  ) {}

  document(): unknown {
    const value = this.value(0)
    this.space()
    if (this.at < this.text.length) this.fail('nothing more')
    return value
  }

  private value(depth: number): unknown {
    if (depth > maxDepth) this.fail(`at most ${maxDepth} levels`)
    this.space()
    const first = this.text[this.at]
    if (first === '{') return this.object(depth)
    if (first === '[') return this.array(depth)
    if (first === '"') return this.string()
    for (const [word, value, finite] of words) {
      if ((finite || this.nonFinite) && this.text.startsWith(word, this.at)) {
        this.at += word.length
        return value
      }
    }
    return this.number()
  }

  private object(depth: number): unknown {
    const result: Record<string, unknown> = {}
    this.sequence('}', () => {
      this.space()
      const start = this.at
      const key = this.string()
      if (Object.hasOwn(result, key)) {
        this.at = start
        this.fail(`each key once, and ${JSON.stringify(key)} comes again`)
      }
      this.space()
      this.expect(':')
      const value = this.value(depth + 1)
      // plain assignment to __proto__ would set the prototype
      if (key === '__proto__')
        Object.defineProperty(result, key, { value, enumerable: true, configurable: true, writable: true })
      else result[key] = value
    })
    return result
  }

  private array(depth: number): unknown {
    const result: unknown[] = []
    this.sequence(']', () => result.push(this.value(depth + 1)))
    return result
  }

  private sequence(close: string, item: () => void): void {
    this.at++
    this.space()
    if (this.text[this.at] === close) {
      this.at++
      return
    }
    for (;;) {
      item()
      this.space()
      if (this.text[this.at] === close) break
      this.expect(',')
    }
    this.at++
  }

  private string(): string {
    if (this.text[this.at] !== '"') this.fail('a string')
    const start = this.at
    let plain = true
    for (let i = start + 1; i < this.text.length; i++) {
      const code = this.text.charCodeAt(i)
      if (code === 0x22) {
        this.at = i + 1
        return plain ? this.text.slice(start + 1, i) : this.unescape(start)
      }
      if (code < 0x20) {
        this.at = i
        this.fail('no control character in a string')
      }
      if (code === 0x5c) {
        plain = false
        i++
      }
    }
    return this.fail('the end of a string')
  }

  private unescape(start: number): string {
    try {
      return JSON.parse(this.text.slice(start, this.at)) as string
    } catch {
      this.at = start
      return this.fail('a string with valid escapes')
    }
  }

  private number(): number {
    numberPattern.lastIndex = this.at
    const found = numberPattern.exec(this.text)
    if (found === null) return this.fail('a value')
    this.at += found[0].length
    return Number(found[0])
  }

  private space(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
      this.at++
    }
  }

  private expect(character: string): void {
    if (this.text[this.at] !== character) this.fail(`'${character}'`)
    this.at++
  }

  private fail(expected: string): never {
    const got = this.at >= this.text.length ? 'the end' : JSON.stringify(this.text.slice(this.at, this.at + 20))
    throw new SyntaxError(`${got} at ${this.at} where ${expected} is expected`)
  }
}
