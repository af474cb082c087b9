;;; runabout-settings.el --- What a person can choose  -*- lexical-binding: t; -*-

;;; Commentary:

;; The settings of the package and of the worker, which gets its own as they
;; are here.  Those of the chat's window and of colours are where they are used.

;;; Code:

(defgroup runabout nil
  "Code completion and chat with a local model."
  :group 'tools
  :prefix "runabout-")

(defvar runabout-settings-changed-hook nil
  "Functions to call after a setting of the worker has changed.")

(defun runabout-settings--set (setting value)
  "Set SETTING of the worker to VALUE."
  (set-default-toplevel-value setting value)
  (run-hooks 'runabout-settings-changed-hook))

(defcustom runabout-program nil
  "The program `runabout': its path, or its name in variable `exec-path'.
If nil, it is looked for there and in `runabout-worker-places'."
  :type '(choice (const :tag "Find it" nil) file))

(defcustom runabout-model nil
  "The model: a name, a folder, a file, or a repository.
If nil, the worker's default."
  :type '(choice (const :tag "The worker's default" nil) string))

(defcustom runabout-arguments nil
  "Further options of the worker, for example (\"--offline\")."
  :type '(repeat string))

(defcustom runabout-automatic t
  "Whether suggestions appear by themselves.
`runabout-suggest' works in any case."
  :set #'runabout-settings--set
  :type 'boolean)

(defcustom runabout-languages nil
  "Languages in which suggestions appear by themselves, or do not.
A list of (LANGUAGE . BOOLEAN), where LANGUAGE is a name of the
protocol such as \"python\"; \"*\" is all others."
  :set #'runabout-settings--set
  :type '(alist :key-type string :value-type boolean))

(defcustom runabout-min-confidence nil
  "The confidence below which no suggestion appears by itself, from 0 to 1.
If nil, the worker's default."
  :set #'runabout-settings--set
  :type '(choice (const :tag "The worker's default" nil) number))

(defcustom runabout-multiline 'auto
  "Whether a suggestion may have several lines: `auto' or `never'."
  :set #'runabout-settings--set
  :type '(choice (const auto) (const never)))

(defcustom runabout-max-tokens 128
  "The greatest number of tokens in a suggestion."
  :set #'runabout-settings--set
  :type 'natnum)

(defcustom runabout-alternatives 3
  "How many alternatives `runabout-suggest' asks for, from 1 to 8."
  :set #'runabout-settings--set
  :type 'natnum)

(defcustom runabout-context 'file
  "What the model sees of your code.
With `file' it sees the file that you edit, with `project' also
other open and imported files."
  :set #'runabout-settings--set
  :type '(choice (const file) (const project)))

(defcustom runabout-ahead t
  "Whether the worker computes what follows a suggestion while you read it."
  :set #'runabout-settings--set
  :type 'boolean)

(defcustom runabout-next-edit 'manual
  "When the next edit is shown.
With `manual', the command `runabout-next-edit' asks for it; with
`automatic', it also comes by itself when you pause.  A model that was
not made for edits, such as the default one, only adds to your last
edit, where a suggestion has been already; so by default nothing comes
by itself."
  :type '(choice (const off) (const manual) (const automatic)))

(defcustom runabout-next-edit-format "auto"
  "How the model is asked for the next edit.
The default goes by the model's name; the other formats are those of the
worker's method `next_edit', such as \"sweep\" or \"zeta-2\"."
  :set #'runabout-settings--set
  :type 'string)

(defcustom runabout-keep-statistics t
  "Whether shown and accepted suggestions are counted, on this machine only."
  :set #'runabout-settings--set
  :type 'boolean)

(defun runabout-settings-for-worker ()
  "Return the settings for the worker, as a plist."
  (let ((languages (make-hash-table :test #'equal)))
    (pcase-dolist (`(,language . ,on) runabout-languages)
      (puthash language (if on t :json-false) languages))
    `( :enabled ,(if runabout-automatic t :json-false)
       :languages ,languages
       ,@(and runabout-min-confidence (list :minConfidence runabout-min-confidence))
       :multiline ,(symbol-name runabout-multiline)
       :maxTokens ,runabout-max-tokens
       :alternatives ,runabout-alternatives
       :context ,(symbol-name runabout-context)
       :ahead ,(if runabout-ahead t :json-false)
       :nextEdit ,runabout-next-edit-format
       :statistics ,(if runabout-keep-statistics t :json-false))))

(provide 'runabout-settings)
;;; runabout-settings.el ends here
