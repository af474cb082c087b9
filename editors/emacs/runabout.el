;;; runabout.el --- Code completion and chat with a local model  -*- lexical-binding: t; -*-

;; Version: 0.1.0
;; Package-Requires: ((emacs "28.1"))
;; Keywords: convenience, tools, languages
;; SPDX-License-Identifier: MIT OR Apache-2.0

;;; Commentary:

;; Shows what a small local model would write next as grey text at the cursor,
;; and lets you chat with it about a region.  The model runs in the program
;; `runabout', which this package starts.
;;
;;   (add-to-list 'load-path "/path/to/runabout/editors/emacs")
;;   (require 'runabout)
;;   (runabout-global-mode)

;;; Code:

(require 'cl-lib)
(require 'subr-x)
(require 'runabout-worker)
(require 'runabout-document)
(require 'runabout-suggestion)
(require 'runabout-next-edit)
(require 'runabout-chat)

(defvar runabout-suggestion-map
  (let ((map (make-sparse-keymap)))
    (define-key map (kbd "TAB") #'runabout-accept)
    (define-key map (kbd "<tab>") #'runabout-accept)
    (define-key map (kbd "C-<right>") #'runabout-accept-word)
    (define-key map (kbd "C-<end>") #'runabout-accept-line)
    (define-key map (kbd "C-<down>") #'runabout-next)
    (define-key map (kbd "C-<up>") #'runabout-previous)
    (define-key map (kbd "M-n") #'runabout-next)
    (define-key map (kbd "M-p") #'runabout-previous)
    (define-key map (kbd "C-g") #'runabout-dismiss)
    map)
  "Keys that work while a suggestion is shown.")

(defvar runabout-next-edit-map
  (let ((map (make-sparse-keymap)))
    (define-key map (kbd "TAB") #'runabout-next-edit-accept)
    (define-key map (kbd "<tab>") #'runabout-next-edit-accept)
    (define-key map (kbd "C-g") #'runabout-next-edit-dismiss)
    map)
  "Keys that work while the next edit is shown.")

(defvar runabout-command-map
  (let ((map (make-sparse-keymap)))
    (define-key map "s" #'runabout-suggest)
    (define-key map "n" #'runabout-next-edit)
    (define-key map "c" #'runabout-chat)
    (define-key map "a" #'runabout-chat-apply)
    (define-key map "w" #'runabout-why)
    (define-key map "i" #'runabout-status)
    (define-key map "t" #'runabout-toggle)
    map)
  "Keys of the commands, after the prefix.")

(defvar runabout-mode-map
  (let ((map (make-sparse-keymap)))
    (define-key map (kbd "C-c \\") runabout-command-map)
    map)
  "Keys of `runabout-mode'.")

(defvar runabout--keys `((runabout-suggestion-visible . ,runabout-suggestion-map)
                         (runabout-next-edit-visible . ,runabout-next-edit-map))
  "Gives the keys of what is shown precedence over those of minor modes.")

(defvar runabout--model nil "The last `runabout/status' of the worker.")
(defvar runabout--last nil "The last `runabout/completion' of the worker.")

;;;###autoload
(define-minor-mode runabout-mode
  "Suggest what to write next, as grey text at the cursor."
  :lighter (:eval (runabout-lighter))
  (if runabout-mode
      (progn
        (add-to-list 'emulation-mode-map-alists 'runabout--keys)
        (setq runabout-suggestion--tick (buffer-chars-modified-tick)
              runabout-suggestion--point (point))
        (add-hook 'before-change-functions #'runabout-document--before-change nil t)
        (add-hook 'after-change-functions #'runabout-document--after-change nil t)
        (add-hook 'post-command-hook #'runabout-suggestion--after-command nil t)
        (add-hook 'post-command-hook #'runabout-next-edit--after-command nil t)
        (add-hook 'kill-buffer-hook #'runabout-document-close nil t)
        (add-hook 'after-revert-hook #'runabout-document-replaced nil t)
        (add-hook 'after-save-hook #'runabout-document-saved nil t)
        (add-hook 'after-set-visited-file-name-hook #'runabout-document-reopen nil t)
        (runabout-document-open))
    (remove-hook 'before-change-functions #'runabout-document--before-change t)
    (remove-hook 'after-change-functions #'runabout-document--after-change t)
    (remove-hook 'post-command-hook #'runabout-suggestion--after-command t)
    (remove-hook 'post-command-hook #'runabout-next-edit--after-command t)
    (remove-hook 'kill-buffer-hook #'runabout-document-close t)
    (remove-hook 'after-revert-hook #'runabout-document-replaced t)
    (remove-hook 'after-save-hook #'runabout-document-saved t)
    (remove-hook 'after-set-visited-file-name-hook #'runabout-document-reopen t)
    (runabout-suggestion--cancel)
    (runabout-suggestion-clear)
    (runabout-next-edit-dismiss)
    (runabout-document-close)))

;;;###autoload
(define-globalized-minor-mode runabout-global-mode runabout-mode runabout--turn-on
  :group 'runabout)

(defun runabout--turn-on ()
  "Turn `runabout-mode' on in a buffer of text that a person writes."
  (when (and (derived-mode-p 'prog-mode 'text-mode 'conf-mode)
             (not (minibufferp))
             (not buffer-read-only)
             (not (string-prefix-p " " (buffer-name)))
             ;; The worker could not read the other files of another machine.
             (not (and buffer-file-name (file-remote-p buffer-file-name))))
    (runabout-mode)))

(defun runabout-toggle ()
  "Switch on or off whether suggestions appear by themselves."
  (interactive)
  (setq runabout-automatic (not runabout-automatic))
  (runabout-worker-settings-changed)
  (unless runabout-automatic
    (runabout-suggestion--cancel)
    (runabout-suggestion-clear))
  (force-mode-line-update t)
  (message "runabout: suggestions are %s" (if runabout-automatic "on" "off")))

;;;; What the worker does

(defun runabout--state ()
  "Say in a word or two what the worker does."
  (let ((state (plist-get runabout--model :state)))
    (cond
     ((not (runabout-worker-running-p))
      (pcase runabout-worker-state
        ('idle "not started")
        ('waiting "restarting")
        ('absent "not found")
        (other (symbol-name other))))
     ((equal state "failed") "no model")
     ((not (member state '(nil "ready")))
      (if-let ((percentage (plist-get runabout--model :percentage)))
          (format "%s %d%%" state percentage)
        state))
     ((not runabout-automatic) "off")
     (t "ready"))))

(defun runabout-lighter ()
  "Return the text for the mode line."
  (let ((state (runabout--state))
        (place (runabout-suggestion-place)))
    (concat " Runabout"
            (cond (place (concat ":" place))
                  ((member state '("ready" "not started")) "")
                  ;; The mode line reads this text as a format.
                  (t (concat ":" (string-replace "%" "%%" state)))))))

(defun runabout--why ()
  "Say in a sentence why the last request suggested nothing, or that it did."
  (cond
   ((not (runabout-worker-running-p))
    (format "The worker does not run: %s." (runabout--state)))
   ((not (member (plist-get runabout--model :state) '(nil "ready")))
    (or (plist-get runabout--model :message)
        (format "The model is not ready: %s." (runabout--state))))
   ((null runabout--last)
    (if runabout-automatic "Nothing was asked for yet." "Suggestions are switched off."))
   ((plist-get runabout--last :message))
   ((equal (plist-get runabout--last :outcome) "offered") "A suggestion was offered.")
   (t (format "Nothing was suggested: %s."
              (string-replace "_" " " (or (plist-get runabout--last :reason) "no reason given"))))))

(defun runabout-why ()
  "Say why nothing was suggested."
  (interactive)
  (message "%s" (runabout--why)))

(defun runabout-status ()
  "Show what the worker does, with which model, and what its last suggestion took."
  (interactive)
  (unless (runabout-worker-execute "runabout.info" nil #'runabout--show-status)
    (runabout--show-status nil)))

(defun runabout--show-status (info)
  "Show INFO, the worker's answer to `runabout.info'."
  (with-help-window "*runabout status*"
    (princ (format "State: %s\n" (runabout--state)))
    (pcase-dolist (`(,name . ,label) '((:model . "Model") (:device . "Device")
                                       (:message . "Message")))
      (when-let ((value (plist-get info name)))
        (princ (format "%s: %s\n" label value))))
    (when-let ((bytes (plist-get info :memoryBytes)))
      (princ (format "Memory: %d MiB\n" (/ bytes 1024 1024))))
    (princ (format "Last: %s\n" (runabout--why)))
    (let ((figures
           (cl-loop for (name format) in
                    '((:confidence "confidence %.2f") (:firstTokenMs "first token after %.0f ms")
                      (:totalMs "%.0f ms in all") (:tokensPerSecond "%.0f tokens per second")
                      (:completionTokens "%d tokens generated")
                      (:promptTokens "%d tokens in the prompt")
                      (:cachedTokens "%d of them from the cache"))
                    for value = (plist-get runabout--last name)
                    when (numberp value) collect (format format value))))
      (when figures
        (princ (format "      %s\n" (string-join figures ", ")))))))

(defun runabout-statistics ()
  "Show how many suggestions were shown and accepted."
  (interactive)
  (unless (runabout-worker-execute
           "runabout.statistics" nil
           (lambda (counts)
             (with-help-window "*runabout statistics*"
               (princ (runabout--table counts "")))))
    (message "runabout: the worker does not run")))

(defun runabout--table (counts indent)
  "Return the members of the plist COUNTS, one on a line, after INDENT."
  (cl-loop for (name value) on counts by #'cddr
           for label = (let ((case-fold-search nil))
                         (downcase (replace-regexp-in-string
                                    "[A-Z]" " \\&" (substring (symbol-name name) 1) t)))
           concat (if (and (consp value) (keywordp (car value)))
                      (format "%s%s:\n%s" indent label (runabout--table value (concat indent "  ")))
                    (format "%s%s: %s\n" indent label
                            (pcase value (:json-false "no") ('t "yes") (_ value))))))

(defun runabout-reset-statistics ()
  "Count from zero again."
  (interactive)
  (runabout-worker-execute "runabout.resetStatistics" nil
                           (lambda (_) (message "runabout: the counts begin at zero again"))))

(defun runabout-log ()
  "Show what the worker has written into its log."
  (interactive)
  (if-let ((buffer (get-buffer "*runabout log*")))
      (pop-to-buffer buffer)
    (message "runabout: the log is empty")))

(defun runabout--notified (method params)
  "Remember the worker's state from METHOD and PARAMS."
  (pcase method
    ('runabout/status
     (let ((before (plist-get runabout--model :state))
           (state (plist-get params :state)))
       (setq runabout--model params)
       (force-mode-line-update t)
       ;; What takes long or stops everything is also said.
       (unless (equal state before)
         (pcase state
           ("downloading"
            (runabout-worker-say
             "the model is being downloaded; `runabout-why' says how far it is"))
           ("failed"
            (if-let ((message (plist-get params :message)))
                (runabout-worker-warn "%s" message)
              ;; It had failed before the connection began.
              (runabout-worker-execute
               "runabout.info" nil
               (lambda (info)
                 (setq runabout--model info)
                 (runabout-worker-warn "%s" (or (plist-get info :message)
                                                "the model could not be loaded"))))))))))
    ('runabout/completion
     ;; A request that the person has overtaken says nothing on what the model thinks.
     (unless (member (plist-get params :reason) '("superseded" "cancelled"))
       (setq runabout--last params))
     ;; It may have changed before the worker began to notify of changes.
     (let ((state (plist-get runabout--model :state)))
       (cond ((and (not (member state '(nil "ready")))
                   (equal (plist-get params :outcome) "offered"))
              (runabout--notified 'runabout/status '(:state "ready")))
             ((and (member state '("loading" "downloading"))
                   (equal (plist-get params :reason) "failed"))
              (runabout--notified 'runabout/status
                                  `(:state "failed" :message ,(plist-get params :message)))))))))

(defun runabout--ready ()
  "Open all documents at a new worker, and ask where the person is writing."
  (dolist (buffer (buffer-list))
    (when (buffer-local-value 'runabout-mode buffer)
      (with-current-buffer buffer
        (runabout-document-open))))
  (with-current-buffer (window-buffer)
    (when (and runabout-mode (not noninteractive))
      (if runabout-suggestion--refused
          (runabout-suggestion--ask-again)
        (runabout-suggestion--changed)))))

(defun runabout--ended ()
  "Forget the state of a worker that has ended."
  (setq runabout--model nil))

(add-hook 'runabout-worker-notification-functions #'runabout--notified)
(add-hook 'runabout-worker-ready-hook #'runabout--ready)
(add-hook 'runabout-worker-ended-hook #'runabout--ended)

(provide 'runabout)
;;; runabout.el ends here
