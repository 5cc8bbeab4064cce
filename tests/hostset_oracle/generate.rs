//! Generates expressions.

use fastrand::Rng;

/// What an expression is made to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    OneDimension,
    SeveralDimensions,
    Irregular,
    DigitsBesideBrackets,
    Negative,
    Groups,
    Broken,
}

#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    pub(crate) expression: String,
    pub(crate) split: usize,
    pub(crate) slice: (usize, usize),
}

impl Case {
    fn new(random: &mut Rng, kind: Kind, expression: String) -> Self {
        let start = random.usize(..12);
        Self {
            kind,
            expression,
            split: random.usize(1..6),
            slice: (start, start + random.usize(..12)),
        }
    }
}

impl Kind {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::OneDimension => "names with up to one number",
            Self::SeveralDimensions => "names with several numbers",
            Self::Irregular => "irregular names with several numbers",
            Self::DigitsBesideBrackets => "digits beside brackets",
            Self::Negative => "negative numbers",
            Self::Groups => "groups and wildcards",
            Self::Broken => "broken on purpose",
        }
    }
}

/// The source of groups without a source name.
pub(crate) const DEFAULT_SOURCE: &str = "roles";

/// Two sources of groups, one with and one without the group `all`.
pub(crate) const GROUPS: &str = "\
roles:
  web: 'web[1-8],web[10-12]'
  db: 'db[01-04]'
  old: 'web[1-9/2] db[1-3]'
  front: '@web!@old'
  back: '@db,@racks:r[2-3]'
  none:
racks:
  all: 'web[1-12],db[01-04],n[1-2]r[1-2]'
  r1: 'web[1-6],db[01-02]'
  r2: 'web[7-12],db[03-04]'
  r3: 'n[1-2]r[1-2]'
";

pub(crate) fn group_cases(seed: u64, count: usize) -> Vec<Case> {
    let mut random = Rng::with_seed(seed);
    (0..count)
        .map(|_| {
            let expression = terms(&mut random, group_or_hosts);
            Case::new(&mut random, Kind::Groups, expression)
        })
        .collect()
}

fn group_or_hosts(random: &mut Rng) -> String {
    const GROUPS: &[&str] = &[
        "@web",
        "@db",
        "@old",
        "@front",
        "@back",
        "@none",
        "@roles:front",
        "@racks:r1",
        "@racks:r[1-2]",
        "@racks:r[1-3/2]",
        "@*",
        "@roles:*",
        "@racks:*",
        "@racks:all",
        "web*",
        "db0?",
        "*1",
        "w?b[1-9]",
        "*[3-4]",
        "d*[01-03]",
        "?*?",
        "@@racks",
    ];
    match random.u8(..10) {
        0..7 => (*choose(random, GROUPS)).to_owned(),
        7 => format!("web{}", random.u8(..15)),
        _ => one_dimension(random),
    }
}

pub(crate) fn cases(seed: u64, count: usize) -> Vec<Case> {
    let mut random = Rng::with_seed(seed);
    (0..count)
        .map(|_| {
            let random = &mut random;
            let (kind, expression) = match random.u8(..100) {
                0..45 => (Kind::OneDimension, terms(random, one_dimension)),
                45..65 => (Kind::SeveralDimensions, several(random)),
                65..72 => (Kind::Irregular, irregular(random)),
                72..80 => (
                    Kind::DigitsBesideBrackets,
                    terms(random, digits_beside_brackets),
                ),
                80..82 => (Kind::Negative, negative(random)),
                _ => (Kind::Broken, broken(random)),
            };
            Case::new(random, kind, expression)
        })
        .collect()
}

fn terms(random: &mut Rng, term: fn(&mut Rng) -> String) -> String {
    let mut text = term(random);
    for _ in 0..random.usize(..6) {
        let operator = *choose(random, &[",", ",", ",", ",", "!", "&", "^"]);
        let spaces = ["", "", "", " ", "  ", "\t"];
        text += *choose(random, &spaces);
        text += operator;
        text += *choose(random, &spaces);
        text += &term(random);
    }
    text
}

fn one_dimension(random: &mut Rng) -> String {
    let prefix = *choose(
        random,
        &["web", "web", "web", "db", "node-", "", "a.b-", "x%y"],
    );
    let suffix = *choose(random, &["", "", "", "", "-ib", ".example.org"]);
    match random.u8(..10) {
        0 if !prefix.is_empty() => format!("{prefix}{suffix}"),
        0..4 => format!("{prefix}{}{suffix}", number(random)),
        _ => format!("{prefix}[{}]{suffix}", ranges(random, 3)),
    }
}

/// Up to three terms, as ClusterShell takes long for more.
fn several(random: &mut Rng) -> String {
    let mut text = several_dimensions(random);
    for _ in 0..random.usize(..3) {
        text += *choose(random, &[",", ",", "!", "&", "^"]);
        text += &several_dimensions(random);
    }
    text
}

fn several_dimensions(random: &mut Rng) -> String {
    let names: &[&[&str]] = &[
        &["r", "n", ""],
        &["r", "n", ""],
        &["r", "n", ""],
        &["rack", "-u", "-ib"],
        &["r", "s", "n", ""],
        &["", ".", ".", ".", ""],
    ];
    let name = *choose(random, names);
    let mut text = name[0].to_owned();
    let mut brackets = 0;
    for part in &name[1..] {
        // ClusterShell compares all pairs of names when it folds, so their number is kept small.
        if brackets == 2 || random.bool() {
            text += &number(random);
        } else {
            brackets += 1;
            text += &format!("[{}]", ranges(random, 2));
        }
        text += part;
    }
    text
}

/// Single names out of a small space, as they come from monitoring.
fn irregular(random: &mut Rng) -> String {
    let dimensions = random.usize(2..5);
    let width = random.u64(2..7);
    let names: Vec<String> = (0..random.usize(2..30))
        .map(|_| {
            (0..dimensions)
                .map(|place| format!("{}{}", ["r", "n", "p", "q"][place], random.u64(..width)))
                .collect()
        })
        .collect();
    names.join(",")
}

fn digits_beside_brackets(random: &mut Rng) -> String {
    let digits = |random: &mut Rng| *choose(random, &["", "", "1", "0", "00", "27"]);
    let (before, after) = (digits(random), digits(random));
    // All of one length: ClusterShell reads `a1[8-12]` as `a[18-112]`.
    let length = random.u32(1..3);
    let first = random.u64(10_u64.pow(length - 1)..10_u64.pow(length));
    let last = random.u64(first..10_u64.pow(length));
    format!(
        "a{before}[{first}-{last},{first}]{after}{}",
        *choose(random, &["", "-b", "b7"])
    )
}

fn negative(random: &mut Rng) -> String {
    let first = random.i64(-12..3);
    let last = first + random.i64(..15);
    match random.bool() {
        true => format!("t[{first}-{last}]"),
        false => format!("t[{first}-{last}/{}]-x", random.u8(1..5)),
    }
}

/// Valid expressions with some characters added, removed or replaced, or nothing but noise.
fn broken(random: &mut Rng) -> String {
    loop {
        let text = noise(random);
        // ClusterShell holds every host of a range in memory.
        let mut numbers = text.split(|character: char| !character.is_ascii_digit());
        if numbers.all(|digits| digits.len() < 4 || digits.len() == 4 && digits.starts_with("10")) {
            return text;
        }
    }
}

fn noise(random: &mut Rng) -> String {
    const NOISE: &[char] = &[
        '[', ']', '-', ',', '/', '!', '&', '^', ' ', '0', '1', '5', '9', 'a', 'b', '.',
    ];
    if random.u8(..4) == 0 {
        return (0..random.usize(..12))
            .map(|_| *choose(random, NOISE))
            .collect();
    }
    let mut text: Vec<char> = match random.bool() {
        true => terms(random, one_dimension),
        false => several_dimensions(random),
    }
    .chars()
    .collect();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..=text.len());
        match random.u8(..3) {
            0 => text.insert(at, *choose(random, NOISE)),
            1 if at < text.len() => {
                text.remove(at);
            }
            _ if at < text.len() => text[at] = *choose(random, NOISE),
            _ => {}
        }
    }
    text.into_iter().collect()
}

fn ranges(random: &mut Rng, most: usize) -> String {
    let ranges: Vec<String> = (0..random.usize(1..4))
        .map(|_| range(random, if most < 3 { 3 } else { 40 }))
        .collect();
    ranges.join(*choose(random, &[",", ",", ", "]))
}

fn range(random: &mut Rng, size: u64) -> String {
    let base = *choose(random, &[0, 1, 1, 5, 8, 90, 95, 995]);
    let first = base + random.u64(..size);
    let last = first + random.u64(..size);
    let width = *choose(random, &[0, 0, 0, 2, 3]);
    let step = *choose(random, &["", "", "", "", "/1", "/2", "/3", "/100"]);
    let (first, last) = (format!("{first:0width$}"), format!("{last:0width$}"));
    match random.u8(..6) {
        0 => first,
        // Bounds padded to different lengths are an error to both.
        _ => format!("{first}-{last}{step}"),
    }
}

fn number(random: &mut Rng) -> String {
    let width = *choose(random, &[1, 1, 1, 2, 3]);
    let number = *choose(random, &[0, 1, 5, 8, 9, 95, 99]) + random.u64(..8);
    format!("{number:0width$}")
}

fn choose<'a, Item>(random: &mut Rng, items: &'a [Item]) -> &'a Item {
    &items[random.usize(..items.len())]
}
