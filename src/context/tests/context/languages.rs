//! What is found in a small file of each language.

use super::Scratch;

/// Opens `main` with the cursor at `|`, beside the files, and checks the whole context.
#[track_caller]
fn check(main: (&str, &str), files: &[(&str, &str)], expected: &str) {
    let mut scratch = Scratch::new(files);
    assert_eq!(scratch.shown(main.0, main.1), expected);
}

#[test]
fn python_shows_imported_functions_and_the_members_of_imported_classes() {
    let lib = "import os\n\nLIMIT = 10\n\n@cached\ndef price(item, currency='EUR'):\n    '''Doc.'''\n    return 1\n\n\
        class Basket(Base):\n    size: int = 0\n\n    def add(self, item: str) -> None:\n        self.size += 1\n\n\
        def unused():\n    pass\n";
    check(
        ("app/main.py", "from .lib import price, Basket\n\ndef total(basket):\n    basket.add(price(|"),
        &[("app/lib.py", lib)],
        "--- app/lib.py\n@cached\ndef price(item, currency='EUR'): ...\nclass Basket(Base):\n    size: int = 0\n    def add(self, item: str) -> None: ...\n",
    );
}

#[test]
fn rust_shows_structs_whole_and_functions_without_their_bodies() {
    let plan = "use std::fmt;\n\n#[derive(Debug)]\npub struct Span {\n    pub start: usize,\n}\n\nimpl Span {\n    \
        pub fn new(start: usize) -> Self {\n        Self { start }\n    }\n}\n\npub fn unused() {}\n\
        #[cfg(test)]\nmod tests {\n    fn new_span() {}\n}\n";
    check(
        (
            "src/main.rs",
            "mod plan;\nuse runabout_context::plan::Span;\n\nfn main() {\n    let span: Span = |\n}\n",
        ),
        &[("src/plan.rs", plan)],
        "--- src/plan.rs\npub struct Span {\n    pub start: usize,\n}\nimpl Span {\n    pub fn new(start: usize) -> Self;\n",
    );
}

#[test]
fn javascript_shows_what_a_required_file_exports() {
    let lib = "const parse = (text, options = {}) => {\n  return text;\n};\n\nfunction render(node) {\n  return '';\n}\n\
        module.exports.render = render;\nclass Node extends Base {\n  constructor(name) {\n    super();\n  }\n  walk(visitor) {}\n}\n";
    check(
        (
            "src/main.js",
            "const { parse, Node } = require('./lib');\n\nfunction run(text) {\n  return new Node(parse(|\n}\n",
        ),
        &[("src/lib.js", lib)],
        "--- src/lib.js\nconst parse = (text, options = {});\nclass Node extends Base {\n  constructor(name);\n  walk(visitor);\n",
    );
}

#[test]
fn typescript_follows_a_file_that_only_passes_on_what_others_define() {
    let all = "export * from './types';\nexport { apply } from './apply';\n";
    let types = "export interface Patch {\n  path: string[];\n}\nexport type Other = number;\n";
    let apply = "export function apply<T>(base: T, patch: Patch): T {\n  return base;\n}\n";
    check(
        (
            "src/main.ts",
            "import { Patch, apply } from './all';\n\nexport function run(p: Patch) {\n  return apply(|\n}\n",
        ),
        &[("src/all.ts", all), ("src/types.ts", types), ("src/apply.ts", apply)],
        "--- src/apply.ts\nexport function apply<T>(base: T, patch: Patch): T;\n--- src/types.ts\nexport interface Patch {\n  path: string[];\n}\n",
    );
}

#[test]
fn tsx_is_read_with_its_elements() {
    let button = "export const Button = ({ label }: Props) => <button>{label}</button>;\n\
        export interface Props {\n  label: string;\n}\n";
    check(
        (
            "ui/main.tsx",
            "import { Button, Props } from './button';\n\nconst App = () => {\n  return <Button |/>;\n};\n",
        ),
        &[("ui/button.tsx", button)],
        "--- ui/button.tsx\nexport const Button = ({ label }: Props);\nexport interface Props {\n  label: string;\n}\n",
    );
}

#[test]
fn go_shows_the_files_of_the_package_and_methods_by_their_receiver() {
    let other = "package m\n\ntype Queue struct {\n\titems []int\n}\n\nfunc (q *Queue) Push(item int) error {\n\treturn nil\n}\n\
        \nconst Limit = 3\n\nfunc unused() {}\n";
    check(
        (
            "m/main.go",
            "package m\n\nfunc run(q *Queue) {\n\tfor i := 0; i < Limit; i++ {\n\t\tq.Push(|\n\t}\n}\n",
        ),
        &[("m/queue.go", other), ("m/queue_test.go", "package m\n\nfunc Push() {}\n")],
        "--- m/queue.go\ntype Queue struct {\n\titems []int\n}\nfunc (q *Queue) Push(item int) error\nconst Limit = 3\n",
    );
}

#[test]
fn c_shows_prototypes_and_types_of_an_included_file() {
    let header = "#ifndef Q_H\n#define Q_H\n#define Q_MAX 16\ntypedef struct queue {\n    int items[Q_MAX];\n} queue_t;\n\
        int queue_push(queue_t *q, int item);\nstruct forward;\nint queue_unused(void);\n#endif\n";
    check(
        ("src/main.c", "#include \"queue.h\"\n\nint run(queue_t *q) {\n    return queue_push(|\n}\n"),
        &[("include/queue.h", header)],
        "--- include/queue.h\ntypedef struct queue {\n    int items[Q_MAX];\n} queue_t;\nint queue_push(queue_t *q, int item);\n",
    );
}

#[test]
fn java_shows_the_methods_of_a_class_beside_it() {
    let queue = "package m;\n\npublic class Queue {\n    private int size;\n\n    public Queue(int limit) {\n    }\n\n    \
        public void push(String item) throws Full {\n        size++;\n    }\n}\n";
    check(
        (
            "src/m/Main.java",
            "package m;\n\nclass Main {\n    void run(Queue queue) {\n        queue.push(|\n    }\n}\n",
        ),
        &[("src/m/Queue.java", queue)],
        "--- src/m/Queue.java\npublic class Queue {\n    private int size;\n    public Queue(int limit);\n    public void push(String item) throws Full;\n",
    );
}
