#!/usr/bin/env node
// stands before anything is built, so that installing a checkout links the command
import '../dist/bin.js'
