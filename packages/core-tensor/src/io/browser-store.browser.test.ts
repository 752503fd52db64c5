import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const executablePath = process.env.MNEME_CHROMIUM ?? '/usr/bin/chromium'
const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))
