import katex from 'katex'
import { lessons } from '../src/view/lessons/lessons'

/** MathML of each lesson's equation, line by line, made when the app is built. */
export const collected: Readonly<Record<string, readonly string[]>> = Object.fromEntries(
  lessons.map(({ key, equation }) => [
    key,
    equation
      .split(/, \\qquad /)
      .map((line) => katex.renderToString(line, { output: 'mathml', displayMode: true, throwOnError: true })),
  ]),
)
