;;; runabout-document.el --- Keeps the worker's copies of buffers up to date  -*- lexical-binding: t; -*-

;;; Commentary:

;; Changes are recorded as Emacs reports them, with the positions that the
;; worker's copy has, and sent together before the next request.  Where Emacs
;; reports a change in a way that does not add up, the whole text is sent.

;;; Code:

(require 'cl-lib)
(require 'subr-x)
(require 'url-util)
(require 'runabout-worker)

(defconst runabout-document--most-characters (* 10 1024 1024)
  "A larger buffer is not sent: the worker takes messages of up to 16 MiB.")

(defconst runabout-document--most-changes 100
  "After so many changes at once the whole text is sent instead.
Naming the positions of thousands of replacements would be slower.")

(defconst runabout-document--languages
  '(("c++" . "cpp") ("emacs-lisp" . "elisp") ("js" . "javascript") ("js2" . "javascript")
    ("js-json" . "json") ("sh" . "shellscript") ("bash" . "shellscript") ("tsx" . "typescriptreact")
    ("csharp" . "csharp") ("nxml" . "xml") ("mhtml" . "html") ("cperl" . "perl")
    ("enh-ruby" . "ruby") ("rustic" . "rust") ("text" . "plaintext") ("fundamental" . "plaintext")
    ("gfm" . "markdown") ("LaTeX" . "latex") ("tex" . "latex") ("objc" . "objective-c")
    ("makefile-gmake" . "makefile") ("dockerfile" . "dockerfile") ("git-commit" . "git-commit"))
  "The languages that the protocol names differently from Emacs's modes.")

(defvar-local runabout-document--uri nil "The URI under which the worker knows the buffer, or nil.")
(defvar-local runabout-document--version 0 "The version of the worker's copy.")
(defvar-local runabout-document--changes nil "The changes that are not sent yet, the newest first.")
(defvar-local runabout-document--whole nil "Non-nil if the whole text must be sent.")
(defvar-local runabout-document--always-whole nil
  "Non-nil if changes cannot be sent one by one.
A carriage return within a line is a line end in the protocol, but not here.")
(defvar-local runabout-document--size 0 "The number of characters that the reported changes lead to.")
(defvar-local runabout-document--before nil
  "What is about to change.
Its beginning and end here, and their positions for the worker.")

(defvar runabout-document--folders nil "The project folders that the worker knows.")
(defvar runabout-document--focus nil "The URI that was last reported as the active one.")

(defun runabout-document-open ()
  "Make sure that the worker has the current buffer; return its URI, or nil."
  (when (and (runabout-worker-running-p)
             (not runabout-document--uri)
             (<= (buffer-size) runabout-document--most-characters))
    (runabout-document--announce-folder)
    (setq runabout-document--uri (runabout-document--make-uri)
          runabout-document--version 1)
    (runabout-document--clean)
    (setq runabout-document--always-whole
          (save-excursion
            (save-restriction
              (widen)
              (goto-char (point-min))
              (search-forward "\r" nil t))))
    (runabout-worker-notify
     :textDocument/didOpen
     `(:textDocument ( :uri ,runabout-document--uri
                       :languageId ,(runabout-document-language)
                       :version 1
                       :text ,(runabout-document--whole-text)))))
  runabout-document--uri)

(defun runabout-document-close ()
  "Tell the worker that the current buffer is closed."
  (when runabout-document--uri
    (runabout-worker-notify :textDocument/didClose
                            `(:textDocument (:uri ,runabout-document--uri)))
    (setq runabout-document--uri nil)))

(defun runabout-document-reopen ()
  "Close the current buffer for the worker and open it again, if it was open.
Its name or language may have changed."
  (when runabout-document--uri
    (runabout-document-close)
    (runabout-document-open)))

(defun runabout-document-replaced ()
  "Note that the current buffer's text was replaced."
  (setq runabout-document--whole t))

(defun runabout-document-saved ()
  "Tell the worker that the current buffer was saved.
It may import other files now."
  (when runabout-document--uri
    (runabout-document-flush)
    (runabout-worker-notify :textDocument/didSave
                            `(:textDocument (:uri ,runabout-document--uri)))))

(defun runabout-document-flush ()
  "Send what has changed in the current buffer; return its URI, or nil."
  (when (runabout-document-open)
    (unless (= runabout-document--size (buffer-size))
      (setq runabout-document--whole t))
    (let ((changes (if (or runabout-document--whole
                           (and runabout-document--changes runabout-document--always-whole))
                       `[(:text ,(runabout-document--whole-text))]
                     (vconcat (reverse runabout-document--changes)))))
      (unless (equal changes [])
        (cl-incf runabout-document--version)
        (runabout-document--clean)
        (runabout-worker-notify
         :textDocument/didChange
         `( :textDocument (:uri ,runabout-document--uri :version ,runabout-document--version)
            :contentChanges ,changes))))
    (unless (equal runabout-document--focus runabout-document--uri)
      (setq runabout-document--focus runabout-document--uri)
      (runabout-worker-notify :textDocument/didFocus
                              `(:textDocument (:uri ,runabout-document--uri)))))
  runabout-document--uri)

(defun runabout-document-position (position)
  "Return the worker's name for POSITION in the current buffer."
  (save-excursion
    (save-restriction
      (widen)
      (goto-char position)
      `( :line ,(1- (line-number-at-pos position t))
         :character ,(runabout-document-units
                      (buffer-substring-no-properties (line-beginning-position) position)
                      runabout-worker-encoding)))))

(defun runabout-document-point (position)
  "Return where POSITION of the worker is in the current buffer."
  (save-excursion
    (save-restriction
      (widen)
      (goto-char (point-min))
      (if (< 0 (forward-line (plist-get position :line)))
          (goto-char (point-max))
        (let ((rest (plist-get position :character)))
          (while (and (< 0 rest) (not (eolp)))
            (cl-decf rest (runabout-document-units (char-to-string (char-after))
                                                   runabout-worker-encoding))
            (forward-char))))
      (point))))

(defun runabout-document-units (text encoding)
  "Return the length of TEXT in units of ENCODING, \"utf-8\" or \"utf-16\"."
  (let ((text (runabout-document--clean-text text)))
    (if (equal encoding "utf-8")
        (string-bytes text)
      (+ (length text) (cl-count-if (lambda (char) (> char #xffff)) text)))))

(defun runabout-document-line-end ()
  "Return the line end of the current buffer's file."
  (pcase (coding-system-eol-type buffer-file-coding-system)
    (1 "\r\n")
    (2 "\r")
    (_ "\n")))

(defun runabout-document-language ()
  "Return the protocol's name for the language of the current buffer."
  (let ((name (thread-last (symbol-name major-mode)
                           (string-remove-suffix "-mode")
                           (string-remove-suffix "-ts"))))
    (or (cdr (assoc name runabout-document--languages)) name)))

;;;; What Emacs reports

(defun runabout-document--before-change (beg end)
  "Remember the worker's positions of BEG and END, which are about to change."
  (when runabout-document--uri
    (setq runabout-document--before
          (unless runabout-document--whole
            (list beg end
                  (runabout-document-position beg)
                  (runabout-document-position end))))))

(defun runabout-document--after-change (beg end length)
  "Record that LENGTH characters were replaced by those from BEG to END."
  (when runabout-document--uri
    (cl-incf runabout-document--size (- end beg length))
    (pcase runabout-document--before
      ;; Emacs may report more than once, or a larger region, for one change.
      (`(,(pred (= beg)) ,(pred (= (+ beg length))) ,from ,to)
       (let ((text (save-restriction (widen) (buffer-substring-no-properties beg end))))
         (when (string-search "\r" text)
           (setq runabout-document--always-whole t))
         (push `(:range (:start ,from :end ,to) :text ,(runabout-document--for-worker text))
               runabout-document--changes)
         (when (nthcdr runabout-document--most-changes runabout-document--changes)
           (setq runabout-document--whole t))))
      (_ (setq runabout-document--whole t)))
    (setq runabout-document--before nil)))

(defun runabout-document--clean ()
  "Note that the worker has the current text."
  (setq runabout-document--changes nil
        runabout-document--whole nil
        runabout-document--before nil
        runabout-document--size (buffer-size)))

;;;; Texts and names

(defun runabout-document--whole-text ()
  "Return the text of the whole buffer, for the worker."
  (save-restriction
    (widen)
    (runabout-document--for-worker (buffer-substring-no-properties (point-min) (point-max)))))

(defun runabout-document--for-worker (text)
  "Return TEXT with the line ends of the file, and without what JSON cannot hold."
  (let ((end (runabout-document-line-end))
        (text (runabout-document--clean-text text)))
    (when (string-search "\r" text)
      (setq text (if (equal end "\n")
                     (replace-regexp-in-string "\r\\([^\n]\\|\\'\\)" " \\1" text t)
                   (string-replace "\r" " " text))))
    (if (equal end "\n")
        text
      (string-replace "\n" end text))))

(defun runabout-document--clean-text (text)
  "Return TEXT with a replacement for each byte and surrogate that is no character."
  (if (string-match-p "[^\x0-\xd7ff\xe000-\x10ffff]" text)
      (replace-regexp-in-string "[^\x0-\xd7ff\xe000-\x10ffff]" "\xfffd" text t t)
    text))

(defun runabout-document--make-uri ()
  "Return the URI of the current buffer."
  (if buffer-file-name
      (runabout-document--file-uri buffer-file-name)
    (concat "untitled:" (url-hexify-string (buffer-name)))))

(defun runabout-document--file-uri (path)
  "Return the URI of the file PATH."
  (let ((path (expand-file-name path)))
    (concat "file://" (if (string-prefix-p "/" path) "" "/")
            (url-hexify-string path url-path-allowed-chars))))

(defun runabout-document--announce-folder ()
  "Tell the worker the project folder of the current buffer, if it is a new one."
  (when buffer-file-name
    (let* ((found (ignore-errors (locate-dominating-file buffer-file-name ".git")))
           (root (directory-file-name (expand-file-name (or found default-directory)))))
      (unless (member root runabout-document--folders)
        (push root runabout-document--folders)
        (runabout-worker-notify
         :workspace/didChangeWorkspaceFolders
         `(:event ( :added [(:uri ,(runabout-document--file-uri root)
                                  :name ,(file-name-nondirectory root))]
                    :removed [])))))))

(defun runabout-document--forget ()
  "Forget what the worker had: a new one has nothing."
  (setq runabout-document--folders nil
        runabout-document--focus nil)
  (dolist (buffer (buffer-list))
    (when (buffer-local-value 'runabout-document--uri buffer)
      (with-current-buffer buffer
        (setq runabout-document--uri nil)))))

(add-hook 'runabout-worker-ended-hook #'runabout-document--forget)

(provide 'runabout-document)
;;; runabout-document.el ends here
