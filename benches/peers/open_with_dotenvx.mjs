// Opens a dotenv file with dotenvx: `open_with_dotenvx.mjs MODULES FOLDER ROUNDS`. FOLDER holds `.env` and `.env.keys`, as
// `dotenvx encrypt` leaves them. Prints the milliseconds of each round in this process, and how many values there were.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [modules, folder, rounds] = process.argv.slice(2)
const dotenvx = createRequire(pathToFileURL(`${modules}/`))('@dotenvx/dotenvx')
const source = readFileSync(join(folder, '.env'), 'utf8')
const keys = readFileSync(join(folder, '.env.keys'), 'utf8')
const [, privateKey] = /^DOTENV_PRIVATE_KEY="?([0-9a-f]+)/m.exec(keys)

const times = []
let values = 0
for (let round = 0; round < Number(rounds); round++) {
  const began = process.hrtime.bigint()
  const parsed = dotenvx.parse(source, { privateKey, processEnv: {} })
  times.push(Number(process.hrtime.bigint() - began) / 1e6)
  values = Object.values(parsed).filter((value) => value.startsWith('value ')).length
}
console.log(JSON.stringify({ times, values }))
