import { createRequire } from 'node:module'
import { Command, InvalidArgumentError } from 'commander'
import { benchCommand } from './bench-command.js'
import { claimCommand } from './claim-command.js'
import { evalCommand } from './eval-command.js'
import { generateCommand } from './generate-command.js'
import { logitsCommand } from './logits-command.js'
import { papersCommand } from './papers-command.js'
import { selfTestCommand } from './selftest-command.js'
import { exitCodes, trainCommand } from './train-command.js'

const { version } = createRequire(import.meta.url)('@mneme/cli/package.json') as { version: string }

const collect = (value: string, before: string[]): string[] => [...before, value]

function number(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || Number.isNaN(value)) throw new InvalidArgumentError('Expected a number.')
  return value
}

function whole(text: string): number {
  const value = number(text)
  if (!Number.isInteger(value)) throw new InvalidArgumentError('Expected a whole number.')
  return value
}

function count(text: string): number {
  const value = whole(text)
  if (value < 1) throw new InvalidArgumentError('Expected 1 or more.')
  return value
}

const lengths = (text: string): number[] => text.split(',').map(count)

/** The whole command line. `finish` receives each command's exit code. */
export function program(finish: (code: number) => void): Command {
  const mneme = new Command('mneme')
    .description('Sequence models with memory: train, sample, evaluate, inspect.')
    .version(version)
    .showHelpAfterError('Run with --help to see what there is.')
    .exitOverride((error) => {
      finish(error.exitCode === 0 ? 0 : exitCodes.usage)
      throw error
    })

  mneme
    .command('train')
    .description('Train a paper on a task. Without flags: a small minGRU on a novel.')
    .option('-p, --paper <key>', 'architecture; see mneme papers')
    .option('-t, --task <key>', 'data; see mneme papers')
    .option('-e, --experiment <file>', 'read the experiment from a JSON file; flags are laid over it')
    .option('-c, --config <key=value>', 'setting of the architecture, repeatable: -c dModel=64', collect, [])
    .option('--task-config <key=value>', 'setting of the task, repeatable: --task-config pairs=8', collect, [])
    .option('--train <key=value>', 'setting of training, repeatable: --train clip=0.5', collect, [])
    .option('--steps <n>', 'optimizer steps', whole)
    .option('--batch <rows>', 'rows of a batch', whole)
    .option('--length <tokens>', 'tokens of a row', whole)
    .option('--lr <rate>', 'largest learning rate', number)
    .option('--seed <n>', 'decides weights, data and order', whole)
    .option('-o, --out <dir>', 'where the run is kept (default: runs/<time>)')
    .option('--resume <dir>', 'continue the run kept there, to the bit')
    .option('--device <name>', 'auto, cpu, wasm or webgpu', 'auto')
    .option('--json', 'one JSON object a line on standard output', false)
    .addHelpText(
      'after',
      `
Examples
  mneme train                                      a minGRU on a novel, about a minute
  mneme train --paper gated-deltanet --task mqar   recall of key-value pairs
  mneme train -p min-rnn -c nLayers=3 -c dModel=128 --steps 2000 -o runs/first
  mneme train --resume runs/first --steps 4000     go on where it stopped

A run is one JSON object, { paper, config, task, taskConfig, train, seed }, kept as experiment.json in its folder.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 numbers stopped being finite, 130 interrupted and saved.`,
    )
    .action(async (flags) => finish(await trainCommand(flags)))

  mneme
    .command('generate')
    .description('Continue a prompt with a trained model, token by token, at constant memory where the model has it.')
    .option('-r, --run <dir>', 'a run of mneme train')
    .option('--checkpoint <dir>', 'a published checkpoint: config.json and safetensors')
    .option('--prompt <text>', 'text to continue, repeatable: several are continued side by side', collect, [])
    .option('--prompts <file>', 'texts to continue, one a line')
    .option('--ids <list>', 'token ids to continue, with commas, repeatable', collect, [])
    .option('-n, --max-new-tokens <n>', 'tokens to draw', count, 200)
    .option('--temperature <t>', '0 always takes the likeliest', number, 0.8)
    .option('--top-k <k>', 'draw among the k likeliest; 0 for all', whole, 0)
    .option('--top-p <p>', 'draw among the likeliest that add up to p', number, 1)
    .option('--repetition-penalty <x>', 'above 1 lowers what already occurred', number, 1)
    .option('--seed <n>', 'same seed, same text', whole, 0)
    .option('--device <name>', 'auto, cpu, wasm or webgpu', 'auto')
    .option('--json', 'one JSON object on standard output', false)
    .addHelpText(
      'after',
      `
Examples
  mneme generate --run runs/first --prompt "Call me" -n 300
  mneme generate --run runs/first --prompt "Call me" --prompt "The whale"
  mneme generate --checkpoint models/mamba-130m --prompt "Call me"   where the folder has a tokenizer.json
  mneme generate --checkpoint models/mamba-130m --ids 1,2,3`,
    )
    .action(async (flags) => finish(await generateCommand(flags)))

  mneme
    .command('logits')
    .description('Scores of the next token after each of the given ones, from a published checkpoint.')
    .requiredOption('--checkpoint <dir>', 'config.json and safetensors')
    .requiredOption('--ids <list>', 'token ids, with commas')
    .option('--top <n>', 'how many of the likeliest to print', count, 5)
    .option('--device <name>', 'auto, cpu, wasm or webgpu', 'auto')
    .option('--json', 'all scores as one JSON object: { ids, shape: [T, V], logits }', false)
    .addHelpText('after', '\nExample\n  mneme logits --checkpoint models/mamba-130m --ids 1,2,3 --json')
    .action(async (flags) => finish(await logitsCommand(flags)))

  mneme
    .command('eval <run>')
    .description('Loss and accuracy of a trained run, also at lengths it was not trained at.')
    .option('--split <name>', 'validation or test', 'validation')
    .option('--batches <n>', 'batches to look at', count, 16)
    .option('--length <list>', 'tokens of a row, one or several: 64,128,256', lengths)
    .option('--device <name>', 'auto, cpu, wasm or webgpu', 'auto')
    .option('--json', 'one JSON object a line on standard output', false)
    .addHelpText('after', '\nExample\n  mneme eval runs/first --length 64,256,1024')
    .action(async (run, flags) => finish(await evalCommand({ run, ...flags })))

  mneme
    .command('papers')
    .description('List the papers that can be trained, and the tasks.')
    .option('--json', 'cards as JSON', false)
    .action(async (flags) => finish(await papersCommand(flags)))

  mneme
    .command('selftest')
    .description('Hold every kernel to its reference on this device.')
    .option('--device <name>', 'auto, cpu, wasm or webgpu', 'auto')
    .option('--json', 'the report as JSON', false)
    .action(async (flags) => finish(await selfTestCommand(flags)))

  mneme
    .command('bench [name]')
    .description('Time kernels against the same maths in tfjs ops, and whole jobs, once every kernel is found right.')
    .option('--device <name>', 'auto, cpu, wasm or webgpu', 'auto')
    .option('--quick', 'a minute instead of several', false)
    .option('--write <file>', 'also write the tables, as Markdown')
    .option('--json', 'figures as JSON', false)
    .addHelpText(
      'after',
      `
Examples
  mneme bench --quick          everything, with fewer and shorter runs
  mneme bench gelu             one op; mneme bench x lists ops, mixers and jobs
  mneme bench matMul           matrix products beside those of tfjs
  mneme bench "delta rule"     one mixer: time a token, and bytes of its state`,
    )
    .action(async (name, flags) => finish(await benchCommand(name, flags)))

  mneme
    .command('claim [key]')
    .description('Hold papers to what they claim: small experiments against their baselines, with a verdict.')
    .option('--all', 'every claim', false)
    .option('--list', 'what there is, and how each stands', false)
    .option('--check', 'only tell whether the page is as the results have it (exit code 1 if not)', false)
    .option('--docs <dir>', 'folder of claims.md, and of results in claims/', 'docs')
    .option('--device <name>', 'auto, cpu, wasm or webgpu', 'auto')
    .option('--json', 'one JSON object a line on standard output', false)
    .addHelpText(
      'after',
      `
Examples
  mneme claim                 list the claims, and which of them pass
  mneme claim min-rnn         run what has no result yet, print the table and the verdict
  mneme claim --all           the same for every claim: minutes each on two cores

Every finished run is kept under a hash of its experiment in <docs>/claims/<key>.json and is not run again: stop with
Ctrl-C at any time and go on later, or delete the file to start over. A claim that is run writes <docs>/claims.md anew.
A claim that fails is a finding, not an error: the exit code stays 0.`,
    )
    .action(async (key, flags) => finish(await claimCommand(key, flags)))

  return mneme
}
