;;; runabout-next-edit.el --- What will be changed next  -*- lexical-binding: t; -*-

;;; Commentary:

;; Asks the worker what will be changed next, which may be some lines away, and
;; shows it where it is.  The command that asked for it then goes there, and
;; then applies it.  The edit belongs to the text that it was computed for, so
;; any other change of the buffer removes it, and nothing is applied to another
;; text.

;;; Code:

(require 'cl-lib)
(require 'subr-x)
(require 'runabout-settings)
(require 'runabout-worker)
(require 'runabout-document)
(require 'runabout-suggestion)

(defface runabout-added
  '((((class color) (min-colors 88) (background dark)) :background "#1d4428" :extend t)
    (((class color) (min-colors 88)) :background "#cdeed3" :extend t)
    (t :inherit success))
  "The face of what the next edit adds."
  :group 'runabout)

(defface runabout-removed
  '((((class color) (min-colors 88) (background dark)) :background "#5a1e1e" :extend t)
    (((class color) (min-colors 88)) :background "#f8cfcf" :extend t)
    (t :inherit error :strike-through t))
  "The face of what the next edit removes."
  :group 'runabout)

(defconst runabout-next-edit--pause 0.5
  "For how many seconds nobody may type before an edit is asked for by itself.")

(defvar-local runabout-next-edit-visible nil
  "Non-nil while the next edit is shown; then its keys work.")

(defvar-local runabout-next-edit--changes nil
  "The changes that are shown, a list of (BEGINNING END TEXT) in ascending order.")
(defvar-local runabout-next-edit--tick nil
  "The buffer's tick when they were asked for.")
(defvar-local runabout-next-edit--overlays nil "The overlays that show them.")
(defvar-local runabout-next-edit--note nil "The overlay that says where they are.")
(defvar-local runabout-next-edit--asked-tick nil
  "The buffer's tick when an edit was last asked for by itself.")

(defvar runabout-next-edit--asked nil
  "The newest request, a list (ID BUFFER TICK KIND), or nil if it is answered.
It is compared by `eq'.")
(defvar runabout-next-edit--timer nil "Waits until the person pauses.")

;;;; Commands

(defun runabout-next-edit ()
  "Show the next edit; where it is shown, go to it, and then apply it."
  (interactive)
  (cond
   ((eq runabout-next-edit 'off)
    (runabout-worker-say "next edits are switched off by `runabout-next-edit'"))
   (runabout-next-edit-visible (runabout-next-edit-accept))
   ;; To ask once more for the same text would only begin anew.
   ((equal (cdr runabout-next-edit--asked)
           (list (current-buffer) (buffer-chars-modified-tick) 1)))
   (t (runabout-worker-start)
      (runabout-next-edit--ask 1))))

(defun runabout-next-edit-accept ()
  "Go to the next edit that is shown, or apply it if point is there."
  (interactive)
  (cond
   ((null runabout-next-edit--changes))
   ((/= runabout-next-edit--tick (buffer-chars-modified-tick))
    (runabout-next-edit-clear)
    (runabout-worker-say "the text has changed since, so nothing was applied"))
   ((runabout-next-edit--near-p) (runabout-next-edit--apply))
   (t (runabout-next-edit--jump))))

(defun runabout-next-edit-dismiss ()
  "Remove the next edit."
  (interactive)
  (runabout-next-edit--cancel)
  (runabout-next-edit-clear))

;;;; Requests

(defun runabout-next-edit--ask (kind)
  "Send a request of trigger KIND."
  (runabout-next-edit--cancel)
  (if-let ((uri (runabout-document-flush)))
      (let* ((buffer (current-buffer))
             (tick (buffer-chars-modified-tick))
             (asked (list nil buffer tick kind)))
        (setq runabout-next-edit--asked asked
              runabout-next-edit--asked-tick tick)
        (setf (car asked)
              (runabout-worker-request
               :workspace/executeCommand
               `( :command "runabout.nextEdit"
                  :arguments [( :textDocument (:uri ,uri :version ,runabout-document--version)
                                :position ,(runabout-document-position (point))
                                :context (:triggerKind ,kind))])
               (lambda (result)
                 (when (eq asked runabout-next-edit--asked)
                   (setq runabout-next-edit--asked nil)
                   (runabout-next-edit--answered result buffer tick kind)))
               (lambda (error)
                 (when (eq asked runabout-next-edit--asked)
                   (setq runabout-next-edit--asked nil)
                   (when (= kind 1)
                     (runabout-worker-say "%s" (runabout-worker-words error))))))))
    (when (= kind 1)
      (runabout-worker-say "there is no next edit: %s"
                           (if (runabout-worker-running-p)
                               "the worker does not know this buffer"
                             (format "the worker is %s" runabout-worker-state))))))

(defun runabout-next-edit--cancel ()
  "Tell the worker that the last request is not wanted any more."
  (when runabout-next-edit--asked
    (runabout-worker-notify :$/cancelRequest `(:id ,(car runabout-next-edit--asked)))
    (setq runabout-next-edit--asked nil)))

(defun runabout-next-edit--answered (result buffer tick kind)
  "Show RESULT of a request of KIND, made in BUFFER at its TICK."
  (cond
   ((< 0 (length (plist-get result :edits)))
    (when (and (buffer-live-p buffer) (eq buffer (window-buffer)))
      (with-current-buffer buffer
        (when (and (= tick (buffer-chars-modified-tick))
                   (= runabout-document--version (plist-get result :version)))
          (runabout-next-edit-offer (plist-get result :edits))))))
   ((= kind 1) (runabout-next-edit--explain))))

(defun runabout-next-edit--explain ()
  "Say why there is no next edit."
  (runabout-worker-execute
   "runabout.info" nil
   (lambda (info)
     (runabout-worker-say "%s" (or (plist-get (plist-get info :nextEdit) :message)
                                   "there is no next edit here")))))

(defun runabout-next-edit--ask-by-itself ()
  "Ask when the person pauses, if that is wanted."
  (when (and (eq runabout-next-edit 'automatic) runabout-automatic)
    (when runabout-next-edit--timer
      (cancel-timer runabout-next-edit--timer))
    (setq runabout-next-edit--timer
          (run-with-timer runabout-next-edit--pause nil #'runabout-next-edit--paused
                          (current-buffer) (buffer-chars-modified-tick)))))

(defun runabout-next-edit--paused (buffer tick)
  "Ask in BUFFER, if it still has the TICK that it had before the pause."
  (when (and (buffer-live-p buffer) (eq buffer (window-buffer)))
    (with-current-buffer buffer
      (when (and (= tick (buffer-chars-modified-tick))
                 (not (eql tick runabout-next-edit--asked-tick))
                 (not runabout-suggestion-visible)
                 (not (run-hook-with-args-until-success 'runabout-suggestion-inhibit-functions)))
        (runabout-next-edit--ask 2)))))

;;;; What is shown

(defun runabout-next-edit-offer (edits)
  "Show EDITS, a vector of the worker's edits of the current buffer."
  (runabout-suggestion--cancel)
  (runabout-suggestion-clear)
  (runabout-next-edit-clear)
  (setq runabout-next-edit--changes (mapcar #'runabout-next-edit--change edits)
        runabout-next-edit--tick (buffer-chars-modified-tick)
        runabout-next-edit-visible t)
  (pcase-dolist (`(,beginning ,end ,text) runabout-next-edit--changes)
    (when (< beginning end)
      (runabout-next-edit--overlay beginning end 'face 'runabout-removed))
    (unless (string-empty-p text)
      (runabout-next-edit--overlay end end 'after-string
                                   (runabout-suggestion-drawn text 'runabout-added))))
  (setq runabout-next-edit--note (make-overlay (point) (point)))
  (add-hook 'window-scroll-functions #'runabout-next-edit--scrolled nil t)
  (runabout-next-edit--place))

(defun runabout-next-edit--overlay (beginning end property value)
  "Show an overlay from BEGINNING to END with PROPERTY of VALUE."
  (let ((overlay (make-overlay beginning end)))
    (overlay-put overlay property value)
    ;; Above what colours the code.
    (overlay-put overlay 'priority 1000)
    (push overlay runabout-next-edit--overlays)))

(defun runabout-next-edit--change (edit)
  "Return EDIT of the worker as a change: (BEGINNING END TEXT)."
  (let ((range (plist-get edit :range)))
    (list (runabout-document-point (plist-get range :start))
          (runabout-document-point (plist-get range :end))
          (replace-regexp-in-string "\r\n?" "\n" (plist-get edit :newText)))))

(defun runabout-next-edit-clear ()
  "Remove the next edit from the current buffer."
  (mapc #'delete-overlay runabout-next-edit--overlays)
  (when runabout-next-edit--note
    (delete-overlay runabout-next-edit--note))
  (setq runabout-next-edit--overlays nil
        runabout-next-edit--note nil
        runabout-next-edit--changes nil
        runabout-next-edit-visible nil)
  (remove-hook 'window-scroll-functions #'runabout-next-edit--scrolled t))

(defun runabout-next-edit--beginning ()
  "Return where the first change begins."
  (caar runabout-next-edit--changes))

(defun runabout-next-edit--near-p ()
  "Return non-nil if point is in the lines that are changed."
  (and (<= (save-excursion (goto-char (runabout-next-edit--beginning)) (line-beginning-position))
           (point)
           (save-excursion (goto-char (cadar (last runabout-next-edit--changes)))
                           (line-end-position)))))

(defun runabout-next-edit--place ()
  "Say behind point's line where the first change is, if it is not in the window."
  (when (and runabout-next-edit--note (eq (current-buffer) (window-buffer)))
    (let ((beginning (runabout-next-edit--beginning)))
      (move-overlay runabout-next-edit--note (line-end-position) (line-end-position))
      (overlay-put
       runabout-next-edit--note 'after-string
       (unless (pos-visible-in-window-p beginning nil t)
         (propertize (format " %s next edit in line %d" (if (< beginning (point)) "↑" "↓")
                             (line-number-at-pos beginning t))
                     'face 'runabout-ghost))))))

(defun runabout-next-edit--scrolled (window _start)
  "Look anew where the edit is, since WINDOW was scrolled."
  ;; The window is being drawn now.
  (run-with-timer 0 nil (lambda (buffer)
                          (when (buffer-live-p buffer)
                            (with-current-buffer buffer
                              (runabout-next-edit--place))))
                  (window-buffer window)))

(defun runabout-next-edit--jump ()
  "Go to the edit."
  (let ((beginning (runabout-next-edit--beginning)))
    (push-mark)
    (unless (<= (point-min) beginning (point-max))
      (widen))
    (let ((visible (pos-visible-in-window-p beginning)))
      (goto-char beginning)
      ;; In the middle, so that there is room for lines below it.
      (unless visible
        (recenter)))
    (runabout-next-edit--place)))

(defun runabout-next-edit--apply ()
  "Apply the edit as one step of undo, and put point behind it."
  (barf-if-buffer-read-only)
  (let ((changes (reverse runabout-next-edit--changes)))
    (runabout-next-edit-clear)
    (save-restriction
      (widen)
      (undo-boundary)
      (goto-char (cadar changes))
      (let ((behind (copy-marker (point) t)))
        (atomic-change-group
          (pcase-dolist (`(,beginning ,end ,text) changes)
            (delete-region beginning end)
            (goto-char beginning)
            (insert text)))
        (goto-char behind)
        (set-marker behind nil))
      (undo-boundary))
    (runabout-next-edit--ask-by-itself)))

(defun runabout-next-edit--after-command ()
  "Remove what does not belong to the text any more."
  (let ((tick (buffer-chars-modified-tick)))
    (when runabout-next-edit--changes
      (if (= tick runabout-next-edit--tick)
          (runabout-next-edit--place)
        (runabout-next-edit-clear)))
    (pcase runabout-next-edit--asked
      (`(,_ ,buffer ,asked-tick ,_)
       (unless (and (eq buffer (current-buffer)) (= asked-tick tick))
         (runabout-next-edit--cancel))))))

(defun runabout-next-edit--shown-p ()
  "Return non-nil while the next edit is shown, so that no suggestion may come."
  (and runabout-next-edit--changes
       (= runabout-next-edit--tick (buffer-chars-modified-tick))))

(defun runabout-next-edit--lost ()
  "Remove what is shown: the worker that made it has ended."
  (setq runabout-next-edit--asked nil)
  (dolist (buffer (buffer-list))
    (when (buffer-local-value 'runabout-next-edit--changes buffer)
      (with-current-buffer buffer
        (runabout-next-edit-clear)))))

(add-hook 'runabout-suggestion-inhibit-functions #'runabout-next-edit--shown-p)
(add-hook 'runabout-suggestion-silent-hook #'runabout-next-edit--ask-by-itself)
(add-hook 'runabout-worker-ended-hook #'runabout-next-edit--lost)

(provide 'runabout-next-edit)
;;; runabout-next-edit.el ends here
