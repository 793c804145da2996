//! What is to be changed in a configuration: the tap before each stdio server, or away again.
//! Pure, from a text to a list of edits.

use std::ops::Range;
use std::path::Path;

use mcpmon_metrics::Name;

use super::json::{Member, Node, Unreadable, Value, parse, skip_blank};

/// One replacement in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) span: Range<usize>,
    pub(super) new: String,
}

/// What is to happen to a configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// In the order of the text, none over another.
    pub(super) edits: Vec<Edit>,
    /// Every server that is named there, and what becomes of it.
    pub(super) servers: Vec<(String, Fate)>,
}

/// What becomes of a server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Wrapped,
    Unwrapped,
    /// It is as it was asked for.
    Unchanged,
    /// It is asked over HTTP, at this address.
    Http(String),
    /// It cannot be changed safely, for this reason.
    Left(&'static str),
}

/// How the tap is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Launch {
    pub(super) program: String,
    /// Its options but `--server`.
    pub(super) options: Vec<String>,
}

/// A stdio server as it stands in the text.
struct Stdio<'a> {
    command: &'a Member,
    program: &'a str,
    args: Option<(&'a Node, Vec<&'a str>)>,
}

impl Plan {
    /// Puts the tap before each stdio server that has none.
    pub(super) fn wrap(text: &str, launch: &Launch) -> Result<Self, Unreadable> {
        Self::of(text, |name, server| {
            if is_tap(server.program) {
                return Ok((Fate::Unchanged, Vec::new()));
            }
            if server.program.contains(char::is_whitespace) && !Path::new(server.program).is_file()
            {
                return Err("its command holds spaces; write the program in `command` and each \
                            argument in `args` first");
            }
            if Name::new(name.to_owned()).is_err() {
                return Err("its name is none to report under; give it 1 to 128 printable bytes");
            }
            Ok((Fate::Wrapped, put_before(text, name, server, launch)))
        })
    }

    /// Takes the tap away from each server that has it.
    pub(super) fn unwrap(text: &str) -> Result<Self, Unreadable> {
        Self::of(text, |_, server| match tapped(server) {
            Some(end) => take_away(text, server, end).map(|edits| (Fate::Unwrapped, edits)),
            None => Ok((Fate::Unchanged, Vec::new())),
        })
    }

    fn of(
        text: &str,
        each: impl Fn(&str, &Stdio<'_>) -> Result<(Fate, Vec<Edit>), &'static str>,
    ) -> Result<Self, Unreadable> {
        let mut plan = Self::default();
        for member in servers(&parse(text)?) {
            let fate = match stdio(&member.value) {
                Ok(server) => match each(&member.key, &server) {
                    Ok((fate, edits)) => {
                        plan.edits.extend(edits);
                        fate
                    }
                    Err(reason) => Fate::Left(reason),
                },
                Err(fate) => fate,
            };
            plan.servers.push((member.key.clone(), fate));
        }
        plan.edits.sort_by_key(|edit| edit.span.start);
        Ok(plan)
    }

    pub(super) fn apply(&self, text: &str) -> String {
        let (mut changed, mut at) = (String::with_capacity(text.len()), 0);
        for Edit { span, new } in &self.edits {
            changed.push_str(&text[at..span.start]);
            changed.push_str(new);
            at = span.end;
        }
        changed + &text[at..]
    }
}

/// How the tap is started in `text`: as before the first server that has it.
pub(super) fn launch_in(text: &str) -> Option<Launch> {
    let root = parse(text).ok()?;
    servers(&root).find_map(|member| {
        let server = stdio(&member.value).ok()?;
        let end = tapped(&server)?;
        let (_, args) = server.args.as_ref()?;
        let options = args[..end].iter().filter(|word| !word.starts_with("--server="));
        let options = options.map(|word| (*word).to_owned()).collect();
        Some(Launch { program: server.program.to_owned(), options })
    })
}

/// The servers of every client's form: `mcpServers`, VS Code's `servers`, and those of Claude
/// Code's projects.
fn servers(root: &Node) -> impl Iterator<Item = Member> {
    let projects = root.all("projects").flat_map(|projects| projects.value.members());
    let in_projects = projects.flat_map(|project| project.value.all("mcpServers"));
    let lists = root.all("mcpServers").chain(root.all("servers")).chain(in_projects);
    let servers = lists.flat_map(|list| list.value.members().to_vec());
    servers.collect::<Vec<_>>().into_iter()
}

fn stdio(server: &Node) -> Result<Stdio<'_>, Fate> {
    let only = |key| {
        let mut all = server.all(key);
        let first = all.next();
        if all.next().is_some() { Err(Fate::Left("a key stands twice in it")) } else { Ok(first) }
    };
    let Some(command) = only("command")? else {
        let url = only("url")?.and_then(|url| url.value.text());
        let no_server = Fate::Left("it has neither `command` nor `url`");
        return Err(url.map_or(no_server, |url| Fate::Http(url.to_owned())));
    };
    let program = command.value.text().filter(|program| !program.is_empty());
    let program = program.ok_or(Fate::Left("its `command` is no text"))?;
    let args = match only("args")? {
        None => None,
        Some(Member { value: node, .. }) => {
            let no_words = Fate::Left("its `args` is no list of texts");
            let Value::Array(elements) = &node.value else { return Err(no_words) };
            let words: Option<Vec<_>> = elements.iter().map(Node::text).collect();
            Some((node, words.ok_or(no_words)?))
        }
    };
    Ok(Stdio { command, program, args })
}

fn is_tap(program: &str) -> bool {
    Path::new(program).file_stem().is_some_and(|stem| stem == "mcp-tap")
}

/// Where the `--` stands behind which the server's own command begins.
fn tapped(server: &Stdio<'_>) -> Option<usize> {
    let (_, args) = server.args.as_ref().filter(|_| is_tap(server.program))?;
    let end = args.iter().position(|word| *word == "--")?;
    (end + 1 < args.len()).then_some(end)
}

fn put_before(text: &str, name: &str, server: &Stdio<'_>, launch: &Launch) -> Vec<Edit> {
    let named = format!("--server={name}");
    let options = launch.options.iter().map(String::as_str);
    let words = [named.as_str()].into_iter().chain(options).chain(["--", server.program]);
    let words: Vec<String> = words.map(quoted).collect();
    let command = &server.command.value.span;
    let program = Edit { span: command.clone(), new: quoted(&launch.program) };
    let arguments = match &server.args {
        None => {
            // As far from the key before it as that is from the one before.
            let before = text[..server.command.at].trim_end_matches([' ', '\t', '\r', '\n']);
            let blank = &text[before.len()..server.command.at];
            let blank = if blank.is_empty() { " " } else { blank };
            let new = format!(",{blank}\"args\": [{}]", words.join(", "));
            return vec![Edit { new: program.new + &new, ..program }];
        }
        Some((node, _)) => {
            let Value::Array(elements) = &node.value else { return Vec::new() };
            match elements.first() {
                None => {
                    Edit { span: node.span.start + 1..node.span.start + 1, new: words.join(", ") }
                }
                Some(first) => {
                    let blank = &text[node.span.start + 1..first.span.start];
                    // Behind a comment, all on the line of the first one.
                    let each_on_a_line = blank.contains('\n') && blank.trim().is_empty();
                    let gap = if each_on_a_line { blank } else { " " };
                    let new = words.iter().map(|word| format!("{word},{gap}")).collect();
                    Edit { span: first.span.start..first.span.start, new }
                }
            }
        }
    };
    vec![program, arguments]
}

fn take_away(text: &str, server: &Stdio<'_>, end: usize) -> Result<Vec<Edit>, &'static str> {
    let Some((Node { value: Value::Array(elements), .. }, words)) = &server.args else {
        return Ok(Vec::new());
    };
    let command = Edit { span: server.command.value.span.clone(), new: quoted(words[end + 1]) };
    let own = &elements[..=end + 1];
    let rest = elements.get(end + 2);
    let last = own.last().map_or(0, |last| last.span.end);
    let span = elements[0].span.start..rest.map_or(last, |rest| rest.span.start);
    let mut at = span.start;
    for element in own {
        // Between two words stand blanks and a comma, or else a comment that is not ours to take.
        let is_plain = text[at..element.span.start].trim_matches(BLANK).is_empty();
        if !is_plain {
            return Err("a comment stands between the tap's arguments; take it out first");
        }
        at = element.span.end;
    }
    let is_plain = text[at..span.end].trim_matches(BLANK).is_empty();
    if !is_plain {
        return Err("a comment stands between the tap's arguments; take it out first");
    }
    let span = match rest {
        Some(_) => span,
        // A comma behind the last word would stand alone.
        None => {
            let next = skip_blank(text, span.end).unwrap_or(span.end);
            let comma = text[next..].starts_with(',');
            span.start..if comma { next + 1 } else { span.end }
        }
    };
    Ok(vec![command, Edit { span, new: String::new() }])
}

/// What may stand between two words that are both the tap's.
const BLANK: [char; 5] = [' ', '\t', '\r', '\n', ','];

fn quoted(word: &str) -> String {
    serde_json::Value::from(word).to_string()
}

#[cfg(test)]
mod tests;
