//! Inventories written by hand.

/// Inventories that are told apart by one rule each: the name of a file, and its text.
pub(crate) const CASES: &[(&str, &str)] = &[
    (
        "hosts",
        "a\nb:2200\n[g]\nc.example.org zone=x\n[g:vars]\nzone=y\nrank=1\n",
    ),
    (
        "hosts",
        "[g:children]\nh\n[h]\na\n[h:vars]\nx=h\n[g:vars]\nx=g\ny=g\n",
    ),
    ("hosts", "[g:vars]\nx=1\n[g]\na\n"),
    ("hosts", "[g:vars]\nx=1\n"),
    ("hosts", "[g:children]\nnowhere\n"),
    ("hosts", "[g:children]\nh\n[h:children]\ng\n"),
    ("hosts", "[g:children]\ng\n"),
    ("hosts", "[g]\na x=1\n[h]\na x=2 y=3\n[ungrouped]\na\nb\n"),
    (
        "hosts",
        "[g] # comment\na x='1 # 2' y=3 # 4\n; more\n# more\nb z=a#b\n",
    ),
    (
        "hosts",
        "[g]\na x=\"quo\\\"ted\" y=it\\'s z='a\\b' w=\"a\\\\b\" v=a\\ b\n",
    ),
    (
        "hosts",
        "[g:vars]\na = 1 # c\nb = text # c\nc = 'q' # c\nd=\"q\" 'r'\ne= [1, 2\nf = 'un\ng=\nh==\ni=a=b\n[g]\nx\n",
    ),
    (
        "hosts",
        "[g:vars]\na=0755\nb=0x1F\nc=1_000\nd=1e5\ne=-3\nf=+.5\ng=1.10\nh=None\ni=null\nj=True\nk=yes\nl=(1)\nm=(1,)\nn={}\no=1.2.3\np=00\nq=b'x'\nr=u'y'\n[g]\nx\n",
    ),
    ("hosts", "www[01:10:3].x[a:c]\nn[:3]\n[e]\nz[A:C]-[8:11]\n"),
    ("hosts", "w[1:3]:2201\n"),
    ("hosts", "w[01:100]\n"),
    ("hosts", "w[1]\n"),
    ("hosts", "w:\n"),
    ("hosts", "a x\n"),
    ("hosts", "a 'x\n"),
    ("hosts", "[g:nonsense]\na\n"),
    ("hosts", "[a b]\nc\n"),
    ("hosts", "[g]\n---\n"),
    (
        "hosts",
        "[::1]:2222 x=1\n2001:db8::1 x=2\n10.0.0.[1:2]:22\n",
    ),
    (
        "hosts",
        "a ansible_ssh_host=h1 ansible_host=h2 ansible_ssh_port=1 ansible_port=2 ansible_ssh_user=u1 ansible_user=u2\nb ansible_private_key_file=k1 ansible_ssh_private_key_file=k2\n",
    ),
    (
        "hosts",
        "a ansible_ssh_common_args='-J bastion' ansible_password=p ansible_become_pass=1234\n",
    ),
    (
        "hosts",
        "[g]\na\n[h]\na\n[g:vars]\nx=g\nansible_group_priority=10\n[h:vars]\nx=h\n",
    ),
    (
        "hosts",
        "[z]\na\n[b]\na\n[z:vars]\nx=z\n[b:vars]\nx=b\n[top:children]\nb\n[all:vars]\nx=all\ny=all\n",
    ),
    ("hosts", "[all:children]\ng\n[g]\na\n[all]\nb\n"),
    ("hosts.ini", "[g]\na x=1\n"),
    (
        "hosts.yml",
        "all:\n  hosts:\n    a: {x: 1.10, y: 0755, z: 0o17, w: 1_000, v: yes, u: 'yes', t: ~, s: '~', r: .5, q: 1e3, p: 2026-11-22}\n",
    ),
    (
        "hosts.yml",
        "all:\n  hosts:\n    'w[1:3]': {x: 1}\n    w2: {x: 2}\n  children:\n    g: {hosts: {w1: }, vars: {y: g}}\n    h:\n",
    ),
    ("hosts.yml", "all: {hosts: a, children: g, vars: }\n"),
    (
        "hosts.yml",
        "g: {hosts: {a: {}, b: ''}, other: {x: 1}, more: 3}\nh: [a]\n",
    ),
    ("hosts.yml", "g: {hosts: [a, b]}\n"),
    ("hosts.yml", "g: {hosts: {a: [1]}}\n"),
    ("hosts.yml", "g: {hosts: {a: x}}\n"),
    (
        "hosts.yml",
        "all:\n  vars: &v {x: 1, y: 2}\n  children:\n    g: {hosts: {a: {<<: *v, y: 3}}}\n",
    ),
    (
        "hosts.yml",
        "all:\n  hosts:\n    a:\n      x: !unsafe '{{ y }}'\n      z: '{% if %}'\n      s: |\n        two\n        lines\n      t: >-\n        folded\n        text\n",
    ),
    (
        "hosts.yml",
        "g:\n  children:\n    h:\n      children:\n        g:\n",
    ),
    (
        "hosts.json",
        "{\"all\": {\"hosts\": {\"a\": {\"x\": true, \"y\": null, \"z\": [1]}}}}\n",
    ),
    ("hosts", "all:\n  hosts:\n    a:\n"),
    ("hosts.yml", "[]\n"),
    ("hosts.yml", "a: {hosts: {x: {v: 1, v: 2}}}\n"),
];
