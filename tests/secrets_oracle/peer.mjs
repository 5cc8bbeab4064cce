// Opens and seals with the npm package `jose`: a JSON object in, a JSON object out, as peer.py does.

import { createHash, createPrivateKey, createPublicKey, randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { text } from 'node:stream/consumers'

// The folder that holds node_modules is named by the caller.
const require = createRequire(pathToFileURL(`${process.argv[2]}/`))
const jose = await import(pathToFileURL(require.resolve('jose')))

const bytes = (string) => new TextEncoder().encode(string)
const allowed = {
  keyManagementAlgorithms: ['RSA-OAEP-256', 'dir'],
  contentEncryptionAlgorithms: ['A256GCM'],
}

// The thumbprint of an oct JWK (RFC 7638), by hand: its members in order, without white space.
const epochId = ({ k, kty }) =>
  createHash('sha256').update(JSON.stringify({ k, kty })).digest('base64url')

function* tokens(value) {
  if (typeof value === 'string') {
    if (value.startsWith('SEALED[') && value.endsWith(']')) yield value.slice('SEALED['.length, -1)
  } else if (value !== null && typeof value === 'object') {
    for (const [name, member] of Object.entries(value)) {
      if (name !== 'x-sealed') yield* tokens(member)
    }
  }
}

async function openDocument({ document, key }) {
  const block = document['x-sealed']
  if (block.version !== 1) throw new Error(`version ${block.version}`)
  const privateKey = createPrivateKey(key)
  const own = await jose.calculateJwkThumbprint(createPublicKey(key).export({ format: 'jwk' }))
  const secrets = new Map()
  for (const [name, epoch] of Object.entries(block.epochs)) {
    if (!epoch.recipients.some(({ header }) => header.kid === own)) throw new Error(`no ${own} in ${name}`)
    const { plaintext } = await jose.generalDecrypt(epoch, privateKey, allowed)
    const secret = JSON.parse(new TextDecoder().decode(plaintext))
    if (epochId(secret) !== name) throw new Error(`epoch ${name}`)
    secrets.set(name, jose.base64url.decode(secret.k))
  }
  const opened = {}
  for (const token of tokens(document)) {
    const header = jose.decodeProtectedHeader(token)
    if (header.doc !== block.document) throw new Error(header.doc)
    const { plaintext } = await jose.compactDecrypt(token, secrets.get(header.kid), allowed)
    opened[header.path] = new TextDecoder('utf-8', { ignoreBOM: true }).decode(plaintext)
  }
  return opened
}

async function sealValues({ document, recipients, values }) {
  const key = randomBytes(32)
  const secret = { k: key.toString('base64url'), kty: 'oct' }
  const name = epochId(secret)
  const sealed = {}
  for (const [path, value] of Object.entries(values)) {
    sealed[path] = await new jose.CompactEncrypt(bytes(value))
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: name, doc: document, path })
      .encrypt(key)
  }
  const epoch = new jose.GeneralEncrypt(bytes(JSON.stringify(secret))).setProtectedHeader({
    alg: 'RSA-OAEP-256',
    enc: 'A256GCM',
  })
  for (const pem of recipients) {
    const recipient = createPublicKey(pem)
    const kid = await jose.calculateJwkThumbprint(recipient.export({ format: 'jwk' }))
    epoch.addRecipient(recipient).setUnprotectedHeader({ kid })
  }
  return { epochs: { [name]: await epoch.encrypt() }, tokens: sealed }
}

const work = JSON.parse(await text(process.stdin))
const answer = { opened: [], sealed: [] }
for (const one of work.open) answer.opened.push(await openDocument(one))
for (const one of work.seal) answer.sealed.push(await sealValues(one))
process.stdout.write(JSON.stringify(answer))
