;;; runabout-chat.el --- Chat about the code in a side window  -*- lexical-binding: t; -*-

;;; Commentary:

;; Questions about the region, answers as they are generated, and a code block
;; of the answer put in place of the region.

;;; Code:

(require 'cl-lib)
(require 'subr-x)
(require 'runabout-worker)
(require 'runabout-document)

(defcustom runabout-chat-width 72
  "The width of the chat's window, in characters."
  :type 'natnum
  :group 'runabout)

(defcustom runabout-chat-parameters nil
  "Further parameters of the method `chat' of the worker's protocol.
For example (:temperature 0 :max_tokens 500)."
  :type 'plist
  :group 'runabout)

(defconst runabout-chat--system
  "You are a programming assistant inside an editor.  Answer briefly.  Put code into a \
fenced block, and give the whole of what replaces the code that you were shown."
  "The first message of each conversation.")

(defface runabout-chat-speaker
  '((t :inherit font-lock-keyword-face :weight bold))
  "The face of the names of those who speak in the chat."
  :group 'runabout)

(defface runabout-chat-note
  '((t :inherit font-lock-comment-face))
  "The face of notes in the chat that nobody says."
  :group 'runabout)

(defvar runabout-chat--messages nil "The messages of the conversation, as plists.")
(defvar runabout-chat--target nil
  "What the conversation is about, or nil.
A list (BEGINNING END TEXT) of two markers and a string.")
(defvar runabout-chat--running nil
  "The answer that is being generated, or nil.
A cons of its id and the marker where it begins.")
(defvar runabout-chat--waiting nil "Non-nil if a question waits for the worker.")

(defvar runabout-chat-mode-map
  (let ((map (make-sparse-keymap)))
    (define-key map (kbd "RET") #'runabout-chat)
    (define-key map "a" #'runabout-chat-apply)
    (define-key map "n" #'runabout-chat-new)
    (define-key map (kbd "C-c C-c") #'runabout-chat-stop)
    map)
  "Keys of the chat's buffer.")

(define-derived-mode runabout-chat-mode special-mode "Runabout-Chat"
  "The mode of the chat with the model."
  (setq header-line-format
        "RET ask   a apply   n new   C-c C-c stop   q close")
  (visual-line-mode))

;;;###autoload
(defun runabout-chat (question &optional beginning end)
  "Ask the model a QUESTION.
With an active region, from BEGINNING to END, begin a new
conversation about that text."
  (interactive
   (let ((region (and (use-region-p) (list (region-beginning) (region-end)))))
     (cons (read-string "Ask runabout: ") region)))
  (when (or runabout-chat--running runabout-chat--waiting)
    (user-error "The last answer is still being written; `runabout-chat-stop' ends it"))
  (when (string-blank-p question)
    (user-error "There is no question"))
  (when beginning
    (runabout-chat-new)
    (setq runabout-chat--target
          (list (copy-marker beginning) (copy-marker end t)
                (buffer-substring-no-properties beginning end)))
    (setq question
          (format "%s\n\n```%s\n%s\n```" question (runabout-document-language)
                  (string-trim-right (nth 2 runabout-chat--target) "\n"))))
  (unless runabout-chat--messages
    (runabout-chat--say-message "system" runabout-chat--system))
  (runabout-chat--say-message "user" question)
  (runabout-worker-start)
  (runabout-chat--show)
  (runabout-chat--insert (propertize "You" 'font-lock-face 'runabout-chat-speaker 'runabout 'speaker)
                         "\n\n" question "\n\n"
                         (propertize "Runabout" 'font-lock-face 'runabout-chat-speaker 'runabout 'speaker)
                         "\n\n")
  (cond ((runabout-worker-running-p) (runabout-chat--send))
        ((memq runabout-worker-state '(starting waiting)) (setq runabout-chat--waiting t))
        (t (runabout-chat--fail "the worker does not run; `runabout-restart' starts it"))))

(defun runabout-chat-new ()
  "Forget the conversation."
  (interactive)
  (runabout-chat-stop)
  (setq runabout-chat--messages nil
        runabout-chat--target nil
        runabout-chat--running nil)
  (with-current-buffer (runabout-chat--buffer)
    (let ((inhibit-read-only t))
      (erase-buffer))))

(defun runabout-chat-stop ()
  "End the answer that is being generated; what there is of it stays."
  (interactive)
  (cond
   (runabout-chat--waiting
    (runabout-chat--fail "you stopped it before the worker was ready"))
   (runabout-chat--running
    (runabout-worker-notify :cancel `(:id ,(car runabout-chat--running))))))

(defun runabout-chat-apply ()
  "Put a code block of the answer in place of the text that you asked about.
It is the block at point, or else the last one."
  (interactive)
  (let ((code (runabout-chat--block)))
    (unless code
      (user-error "The answer has no code block to apply"))
    (pcase-let ((`(,beginning ,end ,text) runabout-chat--target))
      (unless (and beginning (buffer-live-p (marker-buffer beginning)))
        (user-error "The conversation is not about a region; copy the code instead"))
      (with-current-buffer (marker-buffer beginning)
        (save-restriction
          (widen)
          (unless (equal text (buffer-substring-no-properties beginning end))
            (user-error "The text has changed since the question, so nothing was replaced"))
          (unless (string-suffix-p "\n" text)
            (setq code (string-remove-suffix "\n" code)))
          (save-excursion
            (goto-char beginning)
            (let ((from (marker-position beginning)))
              (insert code)
              (delete-region (point) end)
              (setq runabout-chat--target
                    (list (copy-marker from) (copy-marker (point) t) code))))))
      (message "runabout: the region is replaced; `undo' takes it back"))))

;;;; The answer

(defun runabout-chat--say-message (role text)
  "Add TEXT as a message of ROLE to the conversation."
  (setq runabout-chat--messages
        (append runabout-chat--messages `((:role ,role :content ,(runabout-document--clean-text text))))))

(defun runabout-chat--send ()
  "Ask for an answer to the conversation."
  (let* ((beginning (with-current-buffer (runabout-chat--buffer) (point-max-marker)))
         (answer (cons nil beginning)))
    (setq runabout-chat--running answer)
    (setcar answer
            (runabout-worker-request
             :chat `(:messages ,(vconcat runabout-chat--messages) ,@runabout-chat-parameters)
             (lambda (result)
               (when (eq answer runabout-chat--running)
                 (runabout-chat--answered result)))
             (lambda (error)
               (when (eq answer runabout-chat--running)
                 (runabout-chat--fail (runabout-worker-words error))))))))

(defun runabout-chat--notified (method params)
  "Show the piece of the answer in PARAMS, if METHOD is `delta'."
  (when (and (eq method 'delta) runabout-chat--running
             (equal (plist-get params :id) (car runabout-chat--running)))
    (runabout-chat--insert (plist-get params :text))))

(defun runabout-chat--answered (result)
  "Finish the answer with RESULT, which has the whole of its text."
  (let ((text (plist-get (plist-get result :message) :content))
        (beginning (cdr runabout-chat--running)))
    (setq runabout-chat--running nil)
    (runabout-chat--say-message "assistant" text)
    (with-current-buffer (runabout-chat--buffer)
      (unless (equal text (buffer-substring-no-properties beginning (point-max)))
        (let ((inhibit-read-only t))
          (delete-region beginning (point-max)))
        (runabout-chat--insert text)))
    (pcase (plist-get result :finish_reason)
      ("length" (runabout-chat--note "It is not finished: the limit of tokens was reached."))
      ("cancelled" (runabout-chat--note "You stopped it."))
      (_ (runabout-chat--insert "\n\n")))))

(defun runabout-chat--fail (reason)
  "Explain in the chat that there is no answer, for REASON."
  (setq runabout-chat--running nil
        runabout-chat--waiting nil
        ;; The question can be asked again.
        runabout-chat--messages (butlast runabout-chat--messages))
  (runabout-chat--note (format "There is no answer: %s." reason)))

(defun runabout-chat--note (text)
  "Add TEXT as a note to the chat."
  (runabout-chat--insert "\n" (propertize text 'font-lock-face 'runabout-chat-note) "\n\n"))

;;;; The buffer

(defun runabout-chat--buffer ()
  "Return the chat's buffer."
  (or (get-buffer "*runabout chat*")
      (with-current-buffer (get-buffer-create "*runabout chat*")
        (runabout-chat-mode)
        (current-buffer))))

(defun runabout-chat--show ()
  "Show the chat beside the other windows."
  (display-buffer (runabout-chat--buffer)
                  `((display-buffer-reuse-window display-buffer-in-side-window)
                    (side . right)
                    (window-width . ,(min runabout-chat-width (/ (frame-width) 2))))))

(defun runabout-chat--insert (&rest texts)
  "Add TEXTS at the end; windows whose point is there follow."
  (with-current-buffer (runabout-chat--buffer)
    (let ((inhibit-read-only t)
          (following (cl-remove-if-not (lambda (window) (= (window-point window) (point-max)))
                                       (get-buffer-window-list nil nil t)))
          (here (= (point) (point-max))))
      (save-excursion
        (goto-char (point-max))
        (apply #'insert texts))
      (when here
        (goto-char (point-max)))
      (dolist (window following)
        (set-window-point window (point-max))))))

(defun runabout-chat--block ()
  "Return the code block at point in the chat, or else the last one of an answer."
  (let ((here (and (eq (current-buffer) (get-buffer "*runabout chat*")) (point)))
        chosen)
    (with-current-buffer (runabout-chat--buffer)
      (save-excursion
        (goto-char (point-min))
        (let (answers start)
          (while (not (eobp))
            (cond
             ((and (not start) (eq 'speaker (get-text-property (point) 'runabout)))
              (setq answers (looking-at-p "Runabout$")))
             ((and answers (looking-at-p "[ \t]*```"))
              (if (not start)
                  (setq start (cons (point) (line-beginning-position 2)))
                (unless (and here chosen (<= (car chosen) here (cadr chosen)))
                  (setq chosen (list (car start) (line-end-position)
                                     (buffer-substring-no-properties (cdr start) (point)))))
                (setq start nil)))
             ((looking-at-p "[ \t]*```")
              ;; A block of the question, in which a line may look like anything.
              (forward-line)
              (while (not (or (eobp) (looking-at-p "[ \t]*```")))
                (forward-line))))
            (forward-line))
          (when (and start (not runabout-chat--running))
            ;; The answer ended before the block did.
            (unless (and here chosen (<= (car chosen) here (cadr chosen)))
              (setq chosen (list (car start) (point-max)
                                 (concat (string-trim-right
                                          (buffer-substring-no-properties (cdr start) (point-max)))
                                         "\n"))))))))
    (nth 2 chosen)))

(defun runabout-chat--ready ()
  "Send the question that waited for the worker."
  (when runabout-chat--waiting
    (setq runabout-chat--waiting nil)
    (runabout-chat--send)))

(defun runabout-chat--lost ()
  "Say that the answer will not come."
  (when runabout-chat--running
    (runabout-chat--fail "the worker ended")))

(add-hook 'runabout-worker-notification-functions #'runabout-chat--notified)
(add-hook 'runabout-worker-ready-hook #'runabout-chat--ready)
(add-hook 'runabout-worker-ended-hook #'runabout-chat--lost)

(provide 'runabout-chat)
;;; runabout-chat.el ends here
