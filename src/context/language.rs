//! The languages whose code is read: how a file's language is recognized, and what the nodes of its grammar mean.
//!
//! To add a language, add a variant, its grammar and its table of roles, and a file in [`super::imports`] that says
//! where its imports lead.

/// A language that is read with a grammar. Files in others are only shown as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    C,
    Go,
    Java,
    JavaScript,
    Python,
    Rust,
    Tsx,
    TypeScript,
}

/// What a node means for finding definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A definition with parameters; its body is left out when it is shown.
    Function,
    /// A definition with members, which are definitions of their own.
    Type,
    /// A definition that is shown whole, such as a struct.
    Whole,
    /// A variable, a constant or a field: shown whole, unless its value is a function.
    Value,
    /// A statement around one definition, which is shown with it, such as a decorator or `export`.
    Around,
    /// A node that contains definitions and is not shown.
    Inside,
    /// A statement that names other files.
    Import,
}

use Role::{Around, Function, Import, Inside, Type, Value, Whole};

const C: &[(&str, Role)] = &[
    ("function_definition", Function),
    ("declaration", Value),
    ("struct_specifier", Whole),
    ("union_specifier", Whole),
    ("enum_specifier", Whole),
    ("type_definition", Whole),
    ("preproc_def", Whole),
    ("preproc_function_def", Whole),
    ("preproc_ifdef", Inside),
    ("preproc_if", Inside),
    ("preproc_else", Inside),
    ("preproc_elif", Inside),
    ("linkage_specification", Inside),
    ("declaration_list", Inside),
    ("preproc_include", Import),
];

const GO: &[(&str, Role)] = &[
    ("function_declaration", Function),
    ("method_declaration", Function),
    ("type_declaration", Around),
    ("type_spec", Whole),
    ("type_alias", Whole),
    ("const_declaration", Around),
    ("const_spec", Value),
    ("var_declaration", Around),
    ("var_spec_list", Inside),
    ("var_spec", Value),
    ("import_declaration", Import),
];

const JAVA: &[(&str, Role)] = &[
    ("class_declaration", Type),
    ("interface_declaration", Type),
    ("record_declaration", Type),
    ("enum_declaration", Whole),
    ("annotation_type_declaration", Whole),
    ("method_declaration", Function),
    ("constructor_declaration", Function),
    ("field_declaration", Value),
    ("constant_declaration", Value),
    ("import_declaration", Import),
];

/// JavaScript's, TypeScript's and TSX's, which share their names.
const SCRIPT: &[(&str, Role)] = &[
    ("function_declaration", Function),
    ("generator_function_declaration", Function),
    ("function_signature", Function),
    ("method_definition", Function),
    ("method_signature", Function),
    ("abstract_method_signature", Function),
    ("class_declaration", Type),
    ("abstract_class_declaration", Type),
    ("interface_declaration", Whole),
    ("type_alias_declaration", Whole),
    ("enum_declaration", Whole),
    ("field_definition", Value),
    ("public_field_definition", Value),
    ("lexical_declaration", Around),
    ("variable_declaration", Around),
    ("variable_declarator", Value),
    ("expression_statement", Around),
    ("assignment_expression", Value),
    ("export_statement", Around),
    ("ambient_declaration", Around),
    ("internal_module", Inside),
    ("module", Inside),
    ("statement_block", Inside),
    ("import_statement", Import),
];

const PYTHON: &[(&str, Role)] = &[
    ("function_definition", Function),
    ("class_definition", Type),
    ("decorated_definition", Around),
    ("expression_statement", Around),
    ("assignment", Value),
    ("if_statement", Inside),
    ("else_clause", Inside),
    ("try_statement", Inside),
    ("except_clause", Inside),
    ("block", Inside),
    ("import_statement", Import),
    ("import_from_statement", Import),
];

const RUST: &[(&str, Role)] = &[
    ("function_item", Function),
    ("function_signature_item", Function),
    ("trait_item", Type),
    ("impl_item", Type),
    ("struct_item", Whole),
    ("enum_item", Whole),
    ("union_item", Whole),
    ("type_item", Whole),
    ("associated_type", Whole),
    ("const_item", Value),
    ("static_item", Value),
    ("macro_definition", Whole),
    ("foreign_mod_item", Inside),
    ("declaration_list", Inside),
    ("mod_item", Import),
    ("use_declaration", Import),
];

impl Language {
    /// The language that an editor names, or else that of the file's name.
    pub fn of(language_id: Option<&str>, path: &str) -> Option<Self> {
        let named = match language_id.map(str::to_ascii_lowercase).as_deref() {
            Some("c") => Some(Self::C),
            Some("go") => Some(Self::Go),
            Some("java") => Some(Self::Java),
            Some("javascript" | "javascriptreact") => Some(Self::JavaScript),
            Some("python") => Some(Self::Python),
            Some("rust") => Some(Self::Rust),
            Some("typescriptreact") => Some(Self::Tsx),
            Some("typescript") => Some(Self::TypeScript),
            _ => None,
        };
        named.or_else(|| {
            let (_, extension) = path.rsplit_once('.')?;
            Some(match extension {
                "c" | "h" => Self::C,
                "go" => Self::Go,
                "java" => Self::Java,
                "js" | "jsx" | "mjs" | "cjs" => Self::JavaScript,
                "py" | "pyi" => Self::Python,
                "rs" => Self::Rust,
                "tsx" => Self::Tsx,
                "ts" | "mts" | "cts" => Self::TypeScript,
                _ => return None,
            })
        })
    }

    pub(crate) fn grammar(self) -> tree_sitter::Language {
        match self {
            Self::C => tree_sitter_c::LANGUAGE,
            Self::Go => tree_sitter_go::LANGUAGE,
            Self::Java => tree_sitter_java::LANGUAGE,
            Self::JavaScript => tree_sitter_javascript::LANGUAGE,
            Self::Python => tree_sitter_python::LANGUAGE,
            Self::Rust => tree_sitter_rust::LANGUAGE,
            Self::Tsx => tree_sitter_typescript::LANGUAGE_TSX,
            Self::TypeScript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT,
        }
        .into()
    }

    /// The role of a kind of node; `None` if neither it nor its children matter.
    pub(crate) fn role(self, kind: &str) -> Option<Role> {
        let roles = match self {
            Self::C => C,
            Self::Go => GO,
            Self::Java => JAVA,
            Self::JavaScript | Self::Tsx | Self::TypeScript => SCRIPT,
            Self::Python => PYTHON,
            Self::Rust => RUST,
        };
        roles.iter().find(|(it, _)| *it == kind).map(|(_, role)| *role)
    }

    /// Whether code of one language can use definitions of the other.
    pub(crate) fn is_kin(self, other: Self) -> bool {
        let family = |it| match it {
            Self::Tsx | Self::TypeScript => Self::JavaScript,
            it => it,
        };
        family(self) == family(other)
    }

    /// What stands for the body of a definition that is shown without it.
    pub(crate) fn elision(self) -> &'static str {
        match self {
            Self::Python => ": ...",
            Self::Go => "",
            _ => ";",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_editors_name_of_the_language_counts_more_than_the_files() {
        assert_eq!(Language::of(Some("python"), "BUILD"), Some(Language::Python));
        assert_eq!(Language::of(Some("typescriptreact"), "a.ts"), Some(Language::Tsx));
        assert_eq!(Language::of(Some("some dialect"), "a.rs"), Some(Language::Rust));
        assert_eq!(Language::of(None, "Makefile"), None);
    }

    #[test]
    fn every_role_names_a_node_of_its_grammar() {
        use Language::{C, Go, Java, JavaScript, Python, Rust, Tsx, TypeScript};
        let tables = [(super::C, vec![C]), (GO, vec![Go]), (JAVA, vec![Java]), (PYTHON, vec![Python])];
        let scripts = [(SCRIPT, vec![JavaScript, TypeScript, Tsx]), (RUST, vec![Rust])];
        for (table, languages) in tables.into_iter().chain(scripts) {
            for (kind, _) in table {
                let known = languages.iter().any(|it| it.grammar().id_for_node_kind(kind, true) != 0);
                assert!(known, "no grammar of {languages:?} has `{kind}`");
            }
        }
    }
}
