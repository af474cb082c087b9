//! Compiles a template with Python's operators, and finds the names in it that do not exist.
//!
//! minijinja's `+`, `%`, `in`, `<` and `~` know fewer types than Python's or let more pass, and have no hook; so they are
//! replaced by filters of [`super::python`], for which minijinja's unstable machinery is needed. Names of filters and
//! tests are checked as Jinja2's compiler checks them: not inside `if`, where it leaves that to the run. Tags that load
//! other templates are refused in the same places.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::machinery::ast::{CallArg, Expr, Stmt};
use minijinja::machinery::{CodeGenerator, Instruction, Instructions, parse};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Value, context};

/// What the template is called in errors.
const NAME: &str = "chat_template";

/// No slot to keep a looked-up filter in.
const UNCACHED: u8 = u8::MAX;

pub(super) const ADD: &str = "python_add";
pub(super) const REM: &str = "python_rem";
pub(super) const CONCAT: &str = "python_concat";
pub(super) const IN: &str = "python_in";
pub(super) const ITERABLE: &str = "python_iterable";
pub(super) const EQUAL: &str = "python_eq";
pub(super) const UNEQUAL: &str = "python_ne";
pub(super) const LESS: &str = "python_lt";
pub(super) const LESS_OR_EQUAL: &str = "python_le";
pub(super) const GREATER: &str = "python_gt";
pub(super) const GREATER_OR_EQUAL: &str = "python_ge";
/// Called in each turn of a loop and each call of a macro.
pub(super) const TURN: &str = "limits_turn";
/// Called with each value that may hold others.
pub(super) const CHECKED: &str = "limits_checked";
pub(super) const SET_ATTRIBUTE: &str = "limits_set_attribute";
pub(super) const ITEM: &str = "limits_item";
/// Called with each slice and each product.
pub(super) const LIST: &str = "limits_list";

/// Filters whose result has more levels than what they are given, beside functions and literals.
const NESTING_FILTERS: [&str; 8] =
    ["batch", "slice", "groupby", "dictsort", "items", "zip", "map", "lists_map"];

/// What [`minijinja::machinery::eval`] runs.
pub(super) struct Compiled<'source> {
    pub(super) instructions: Instructions<'source>,
    pub(super) blocks: BTreeMap<&'source str, Instructions<'source>>,
}

pub(super) fn compile<'source>(
    source: &'source str,
    syntax: &SyntaxConfig,
) -> Result<Compiled<'source>, Error> {
    let tree = parse(source, NAME, syntax.clone())?;
    let mut generator = CodeGenerator::new(NAME, source);
    generator.compile_stmt(&tree);
    let (instructions, blocks) = generator.finish();
    let blocks = blocks.into_iter().map(|(name, it)| (name, as_python(&it))).collect();
    Ok(Compiled { instructions: as_python(&instructions), blocks })
}

/// The instructions with Python's operators, with a check of what loops go over (minijinja takes none for empty), and with
/// the calls that hold a run to its limits.
fn as_python<'source>(old: &Instructions<'source>) -> Instructions<'source> {
    let all = || (0..).map_while(|idx| old.get(idx));
    let macros: Vec<u32> = all()
        .filter_map(|it| match it {
            Instruction::BuildMacro(_, start, _) => Some(*start),
            _ => None,
        })
        .collect();
    // Each instruction with what goes before and after it.
    let groups: Vec<Vec<Instruction<'source>>> = (0..)
        .zip(all())
        .map(|(idx, it): (u32, _)| {
            let is_turn = matches!(it, Instruction::Iterate(_)) || macros.contains(&idx);
            is_turn.then(turn).into_iter().flatten().chain(replaced(it)).collect()
        })
        .collect();
    // Where each instruction comes to stand, which is where its group begins.
    let mut end = 0;
    let places: Vec<u32> = groups
        .iter()
        .map(|group| {
            let place = end;
            end += u32::try_from(group.len()).unwrap_or(u32::MAX);
            place
        })
        .collect();
    let moved = |target: u32| places.get(target as usize).copied().unwrap_or(end);
    let mut new = Instructions::new(old.name(), old.source());
    for (idx, group) in (0..).zip(groups) {
        for instruction in group {
            let instruction = match instruction {
                Instruction::Iterate(target) => Instruction::Iterate(moved(target)),
                Instruction::Jump(target) => Instruction::Jump(moved(target)),
                Instruction::JumpIfFalse(target) => Instruction::JumpIfFalse(moved(target)),
                Instruction::JumpIfFalseOrPop(target) => Instruction::JumpIfFalseOrPop(moved(target)),
                Instruction::JumpIfTrueOrPop(target) => Instruction::JumpIfTrueOrPop(moved(target)),
                Instruction::BuildMacro(name, start, flags) => {
                    Instruction::BuildMacro(name, moved(start), flags)
                }
                other => other,
            };
            match (old.get_span(idx), old.get_line(idx)) {
                (Some(span), _) => new.add_with_span(instruction, span),
                (None, Some(line)) => new.add_with_line(instruction, u16::try_from(line).unwrap_or(u16::MAX)),
                (None, None) => new.add(instruction),
            };
        }
    }
    new
}

fn filter(name: &str, n_arguments: u16) -> Instruction<'_> {
    Instruction::ApplyFilter(name, Some(n_arguments), UNCACHED)
}

/// Leaves the stack as it was.
fn turn<'source>() -> [Instruction<'source>; 3] {
    [Instruction::LoadConst(Value::from(())), filter(TURN, 1), Instruction::DiscardTop]
}

/// What stands for one of minijinja's instructions, jumps not yet moved.
fn replaced<'source>(instruction: &Instruction<'source>) -> Vec<Instruction<'source>> {
    let checked = || vec![instruction.clone(), filter(CHECKED, 1)];
    match instruction {
        Instruction::Add => vec![filter(ADD, 2)],
        Instruction::Rem => vec![filter(REM, 2)],
        Instruction::StringConcat => vec![filter(CONCAT, 2)],
        Instruction::In => vec![filter(IN, 2)],
        Instruction::Eq => vec![filter(EQUAL, 2)],
        Instruction::Ne => vec![filter(UNEQUAL, 2)],
        // Computed while compiling.
        Instruction::LoadConst(value) if value.kind() == ValueKind::Iterable => {
            vec![instruction.clone(), filter(LIST, 1), filter(CHECKED, 1)]
        }
        Instruction::Slice => vec![instruction.clone(), filter(LIST, 1)],
        Instruction::Mul => vec![instruction.clone(), filter(LIST, 1), filter(CHECKED, 1)],
        Instruction::Lt => vec![filter(LESS, 2)],
        Instruction::Lte => vec![filter(LESS_OR_EQUAL, 2)],
        Instruction::Gt => vec![filter(GREATER, 2)],
        Instruction::Gte => vec![filter(GREATER_OR_EQUAL, 2)],
        Instruction::GetItem => vec![filter(ITEM, 2)],
        Instruction::PushLoop(_) => vec![filter(ITERABLE, 1), instruction.clone()],
        Instruction::SetAttr(name) => {
            let name = Instruction::LoadConst(Value::from(*name));
            vec![name, filter(SET_ATTRIBUTE, 3), Instruction::DiscardTop]
        }
        Instruction::BuildList(_)
        | Instruction::BuildTuple(_)
        | Instruction::BuildMap(_)
        | Instruction::CallFunction("dict" | "zip", _) => checked(),
        Instruction::ApplyFilter(name, ..) if NESTING_FILTERS.contains(name) => checked(),
        other => vec![other.clone()],
    }
}

/// Refuses a template that names a filter or test that `environment` lacks where Jinja2 would.
pub(super) fn check_names(
    source: &str,
    syntax: &SyntaxConfig,
    environment: &Environment<'_>,
) -> Result<(), Error> {
    let tree = parse(source, NAME, syntax.clone())?;
    let mut names = Names::default();
    names.statement(&tree, false);
    if let Some(line) = names.bytes_line {
        let reason = format!("no method `{BYTES_METHOD}`, since a prompt cannot hold bytes (line {line})");
        return Err(Error::new(ErrorKind::UnknownMethod, reason));
    }
    if let Some((tag, line)) = names.loading {
        let reason = format!("`{tag}` cannot be used, since there are no other templates (line {line})");
        return Err(Error::new(ErrorKind::TemplateNotFound, reason));
    }
    for (kind, found) in [("filter", &names.filters), ("test", &names.tests)] {
        let is_known =
            environment.compile_expression(if kind == "filter" { "it is filter" } else { "it is test" })?;
        for (name, line) in found {
            // minijinja reads `is foo bar` as one name.
            if !is_known.eval(context! { it => *name })?.is_true() {
                let reason = format!("no {kind} named `{name}` (line {line})");
                return Err(Error::new(ErrorKind::UnknownFilter, reason));
            }
        }
    }
    Ok(())
}

/// The functions that a template calls although nothing has their name, each with its line. That is an error only where
/// the call is reached, in Jinja2 as here.
pub(super) fn unknown_functions(
    source: &str,
    syntax: &SyntaxConfig,
    environment: &Environment<'_>,
) -> Result<Vec<(String, u16)>, Error> {
    let tree = parse(source, NAME, syntax.clone())?;
    let mut names = Names::default();
    names.statement(&tree, false);
    let is_global = |name: &str| environment.globals().any(|(it, _)| it == name);
    // `loop` and `caller` are there where they have a meaning.
    let is_known = |name: &str| {
        is_global(name) || names.assigned.contains(name) || ["loop", "caller", "super"].contains(&name)
    };
    let unknown = names.called.iter().filter(|(name, _)| !is_known(name));
    Ok(unknown.map(|(name, line)| ((*name).to_owned(), *line)).collect())
}

/// The method of strings that makes bytes, which no prompt can hold and no public template asks for.
pub(super) const BYTES_METHOD: &str = "encode";

/// The filters and tests of a template that are looked up whichever way it runs, with their lines.
#[derive(Default)]
struct Names<'source> {
    filters: BTreeMap<&'source str, u16>,
    tests: BTreeMap<&'source str, u16>,
    /// The functions that are called by their names, and the names that the template gives to something.
    called: BTreeMap<&'source str, u16>,
    assigned: BTreeSet<&'source str>,
    /// Where [`BYTES_METHOD`] is called first.
    bytes_line: Option<u16>,
    /// The first tag that loads another template, with its line.
    loading: Option<(&'static str, u16)>,
}

impl<'source> Names<'source> {
    fn body(&mut self, body: &[Stmt<'source>], is_soft: bool) {
        for it in body {
            self.statement(it, is_soft);
        }
    }

    /// `is_soft` is Jinja2's word: inside an `if`, and not in a frame of its own within it.
    fn statement(&mut self, statement: &Stmt<'source>, is_soft: bool) {
        match statement {
            Stmt::Template(it) => self.body(&it.children, is_soft),
            Stmt::EmitExpr(it) => self.expression(&it.expr, is_soft),
            Stmt::ForLoop(it) => {
                self.assign(&it.target);
                self.expression(&it.iter, is_soft);
                self.maybe(it.filter_expr.as_ref(), false);
                self.body(&it.body, false);
                self.body(&it.else_body, false);
            }
            Stmt::IfCond(it) => {
                self.expression(&it.expr, true);
                self.body(&it.true_body, true);
                self.body(&it.false_body, true);
            }
            Stmt::WithBlock(it) => {
                for (target, value) in &it.assignments {
                    self.assign(target);
                    self.expression(value, is_soft);
                }
                self.body(&it.body, false);
            }
            Stmt::Set(it) => {
                self.assign(&it.target);
                self.expression(&it.expr, is_soft);
            }
            Stmt::SetBlock(it) => {
                self.assign(&it.target);
                self.maybe(it.filter.as_ref(), false);
                self.body(&it.body, false);
            }
            Stmt::AutoEscape(it) => self.body(&it.body, false),
            Stmt::FilterBlock(it) => {
                self.expression(&it.filter, false);
                self.body(&it.body, false);
            }
            Stmt::Block(it) => self.body(&it.body, false),
            Stmt::Macro(it) => {
                self.assigned.insert(it.name);
                it.args.iter().for_each(|argument| self.assign(argument));
                it.defaults.iter().for_each(|default| self.expression(default, false));
                self.body(&it.body, false);
            }
            Stmt::CallBlock(it) => {
                self.arguments(&it.call.args, is_soft);
                self.body(&it.macro_decl.body, false);
            }
            Stmt::Do(it) => {
                self.expression(&it.call.expr, is_soft);
                self.arguments(&it.call.args, is_soft);
            }
            Stmt::Include(it) => self.load("include", it.span().start_line, is_soft),
            Stmt::Import(it) => self.load("import", it.span().start_line, is_soft),
            Stmt::FromImport(it) => self.load("from", it.span().start_line, is_soft),
            Stmt::Extends(it) => self.load("extends", it.span().start_line, is_soft),
            _ => {}
        }
    }

    fn assign(&mut self, target: &Expr<'source>) {
        match target {
            Expr::Var(it) => {
                self.assigned.insert(it.id);
            }
            Expr::List(it) => it.items.iter().for_each(|item| self.assign(item)),
            Expr::Tuple(it) => it.items.iter().for_each(|item| self.assign(item)),
            _ => {}
        }
    }

    fn load(&mut self, tag: &'static str, line: u16, is_soft: bool) {
        if !is_soft {
            self.loading.get_or_insert((tag, line));
        }
    }

    fn maybe(&mut self, expression: Option<&Expr<'source>>, is_soft: bool) {
        if let Some(it) = expression {
            self.expression(it, is_soft);
        }
    }

    fn arguments(&mut self, arguments: &[CallArg<'source>], is_soft: bool) {
        for argument in arguments {
            let (CallArg::Pos(it) | CallArg::Kwarg(_, it) | CallArg::PosSplat(it) | CallArg::KwargSplat(it)) =
                argument;
            self.expression(it, is_soft);
        }
    }

    fn expression(&mut self, expression: &Expr<'source>, is_soft: bool) {
        match expression {
            Expr::Var(_) | Expr::Const(_) => {}
            Expr::Slice(it) => {
                self.expression(&it.expr, is_soft);
                for bound in [&it.start, &it.stop, &it.step] {
                    self.maybe(bound.as_ref(), is_soft);
                }
            }
            Expr::UnaryOp(it) => self.expression(&it.expr, is_soft),
            Expr::BinOp(it) => {
                self.expression(&it.left, is_soft);
                self.expression(&it.right, is_soft);
            }
            Expr::Compare(it) => {
                self.expression(&it.expr, is_soft);
                it.ops.iter().for_each(|op| self.expression(&op.expr, is_soft));
            }
            Expr::IfExpr(it) => {
                self.expression(&it.test_expr, true);
                self.expression(&it.true_expr, true);
                self.maybe(it.false_expr.as_ref(), true);
            }
            Expr::Filter(it) => {
                if !is_soft {
                    self.filters.entry(it.name).or_insert(it.span().start_line);
                }
                self.maybe(it.expr.as_ref(), is_soft);
                self.arguments(&it.args, is_soft);
            }
            Expr::Test(it) => {
                if !is_soft {
                    self.tests.entry(it.name).or_insert(it.span().start_line);
                }
                self.expression(&it.expr, is_soft);
                self.arguments(&it.args, is_soft);
            }
            Expr::GetAttr(it) => self.expression(&it.expr, is_soft),
            Expr::GetItem(it) => {
                self.expression(&it.expr, is_soft);
                self.expression(&it.subscript_expr, is_soft);
            }
            Expr::Call(it) => {
                if let Expr::GetAttr(method) = &it.expr
                    && !is_soft
                    && method.name == BYTES_METHOD
                {
                    self.bytes_line.get_or_insert(method.span().start_line);
                }
                if let Expr::Var(function) = &it.expr {
                    self.called.entry(function.id).or_insert(function.span().start_line);
                }
                self.expression(&it.expr, is_soft);
                self.arguments(&it.args, is_soft);
            }
            Expr::List(it) => it.items.iter().for_each(|item| self.expression(item, is_soft)),
            Expr::Tuple(it) => it.items.iter().for_each(|item| self.expression(item, is_soft)),
            Expr::Map(it) => it.keys.iter().chain(&it.values).for_each(|item| self.expression(item, is_soft)),
        }
    }
}
