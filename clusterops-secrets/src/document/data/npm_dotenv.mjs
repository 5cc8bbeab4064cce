// Writes npm_dotenv.json: dotenv files and what the npm package `dotenv` reads, sorted by name.
//
//     npm install dotenv@17 && node npm_dotenv.mjs > npm_dotenv.json
import { createRequire } from 'node:module'

const { parse } = createRequire(process.cwd() + '/')('dotenv')

const values = [
  'x', ' x ', 'x y', 'x#y', 'x # y', '#x', ' # c', '', '  ', "it's", 'a"b', 'a`b', '$x', '\\n', 'a\\nb', 'x\\', 'a=b', 'é', '\u00a0x\u00a0',
  "'x'", "'x' # c", "  'x'  ", "'x#y'", "' x '", "''", "'a\\nb'", "'a\nb'", "'a\r\nb\rc'", "'a\"b`c'", "'a\\'", "'a\\'b'", "'\\''",
  '"x"', '"x"#c', '"a\\nb\\rc"', '"a\\\\nb"', '"a\\tb"', '"a\\"b"', '"a\nb"', '"# x"', '""', '"a\\"', '"a\\" # c', '"it\'s"', '"a\\\r\nb"',
  '`x`', '`a\'b"c`', '`a\\nb`', '`a\n\nb`', '``', '`a\\`', '[x]', 'ENC[a:b]', '{"a":"b"}', '"\u2028"',
]
const heads = ['A=', 'export A=', '  A =', 'A: ', 'a.b-c_1=', 'export  A = ', '\tA\t=\t', 'export=']
const sources = ['', '\n\n', '# c\n', '  # c\r\nA=1\r\n\r\nB=2', 'A=1\rB=2\r', "A='a\\'\nB='b'\nC=3\n", 'A="a\\"\nB="b"\n', 'A=\nB=x\n', 'A=1\n#B=2\n']
values.forEach((value, at) => {
  sources.push(`${heads[at % heads.length]}${value}\nZ=1 # "c"\n`, `Z='1'\r\n${heads[(at + 3) % heads.length]}${value}`)
})
const table = sources.map((source) => [source, Object.entries(parse(source)).sort(([a], [b]) => (a < b ? -1 : 1))])
console.log(JSON.stringify(table, null, 0).replaceAll(']],["', ']],\n["'))
