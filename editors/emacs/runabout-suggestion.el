;;; runabout-suggestion.el --- The suggestion at the cursor  -*- lexical-binding: t; -*-

;;; Commentary:

;; Asks for a suggestion after each change, shows it as an overlay, keeps it
;; while what is typed agrees with it, and inserts it whole or in parts.  The
;; worker waits and drops outdated requests, so nothing here waits.

;;; Code:

(require 'cl-lib)
(require 'subr-x)
(require 'runabout-worker)
(require 'runabout-document)

(defface runabout-ghost
  '((t :inherit shadow))
  "The face of a suggestion."
  :group 'runabout)

(defvar runabout-suggestion-inhibit-functions '(runabout-suggestion--busy-p)
  "Functions that say, by non-nil, that no suggestion may appear now.")

(defvar runabout-suggestion-silent-hook nil
  "Functions to call after a request that came by itself got no suggestion.")

(defvar-local runabout-suggestion-visible nil
  "Non-nil while a suggestion is shown; then its keys work.")

(cl-defstruct (runabout-suggestion (:constructor runabout-suggestion--make) (:copier nil))
  "What is shown."
  beginning                  ; a marker where the suggestion begins
  before                     ; the text of the line up to there
  items                      ; a vector of the worker's items
  (index 0)                  ; which of them is shown
  chosen                     ; non-nil if the person has picked it among the alternatives
  reported)                  ; the commands of the items that the worker knows to be shown

(defvar-local runabout-suggestion--shown nil "The suggestion that is shown, or nil.")
(defvar-local runabout-suggestion--overlay nil "The overlay that shows it.")
(defvar-local runabout-suggestion--tick 0 "The buffer's tick when it was last looked at.")
(defvar-local runabout-suggestion--point 0 "Where point was then.")
(defvar runabout-suggestion--asked nil
  "The newest request, to be compared by `eq', or nil if it is answered.
A list (TOKEN FUNCTION . ID); FUNCTION takes what comes with TOKEN
ahead of the answer.")
(defvar runabout-suggestion--requests 0 "How many requests there were.")

(defvar runabout-suggestion--refused nil
  "The last request, if it got nothing: a list (BEGINNING KIND STEP).
It is sent again when the worker or its model is ready.")

;;;; Keystrokes

(defun runabout-suggestion--after-command ()
  "Look at what the last command has done to the current buffer."
  (let ((tick (buffer-chars-modified-tick))
        (point (point)))
    (cond
     ((/= tick runabout-suggestion--tick)
      (setq runabout-suggestion--tick tick
            runabout-suggestion--point point)
      (runabout-suggestion--changed))
     ((/= point runabout-suggestion--point)
      (setq runabout-suggestion--point point)
      (runabout-suggestion--cancel)
      (runabout-suggestion--advance)))))

(defun runabout-suggestion--changed ()
  "React to a change of the text."
  (runabout-worker-start)
  (runabout-suggestion--advance)
  (if (and runabout-automatic
           (not (run-hook-with-args-until-success 'runabout-suggestion-inhibit-functions)))
      (runabout-suggestion--ask 2 0)
    (runabout-document-flush)))

(defun runabout-suggestion--busy-p ()
  "Return non-nil if the buffer is in a state in which nobody types text."
  (or buffer-read-only
      (region-active-p)
      (minibufferp)
      (memq this-command '(undo undo-only undo-redo))
      (bound-and-true-p company-candidates)
      (and (bound-and-true-p evil-local-mode)
           (not (memq (bound-and-true-p evil-state) '(insert emacs replace))))))

(defun runabout-suggest ()
  "Ask for a suggestion here, with alternatives."
  (interactive)
  (runabout-worker-start)
  (runabout-suggestion--ask 1 0))

(defun runabout-next ()
  "Show the next alternative."
  (interactive)
  (runabout-suggestion--cycle 1))

(defun runabout-previous ()
  "Show the previous alternative."
  (interactive)
  (runabout-suggestion--cycle -1))

(defun runabout-dismiss ()
  "Remove the suggestion, and tell the worker that it was not wanted."
  (interactive)
  (runabout-suggestion--cancel)
  (when runabout-suggestion--shown
    (runabout-worker-execute "runabout.reject" (runabout-suggestion--arguments))
    (runabout-suggestion-clear)))

(defun runabout-accept ()
  "Insert the suggestion."
  (interactive)
  (runabout-suggestion--accept nil))

(defun runabout-accept-word ()
  "Insert the next word of the suggestion."
  (interactive)
  (runabout-suggestion--accept
   "\\`[ \t\n]*\\(?:\\(?:[[:word:]]\\|_\\)+\\|\\(?:[^[:word:]_ \t\n]\\)+\\)"))

(defun runabout-accept-line ()
  "Insert the next line of the suggestion."
  (interactive)
  (runabout-suggestion--accept "\\`\n?[^\n]*"))

;;;; Requests

(defun runabout-suggestion--ask (kind step)
  "Send a request of trigger KIND.
STEP is the way to go among its alternatives."
  (if-let ((uri (runabout-document-flush)))
      (let* ((buffer (current-buffer))
             (beginning (copy-marker (point)))
             (before (buffer-substring-no-properties (line-beginning-position) (point)))
             (token (format "runabout/partial/%d" (cl-incf runabout-suggestion--requests)))
             (arrived (lambda (value)
                        (when (buffer-live-p buffer)
                          (with-current-buffer buffer
                            (runabout-suggestion--arrived value beginning before)))))
             (asked (cons token (cons arrived nil))))
        (setq runabout-suggestion--refused nil
              runabout-suggestion--asked asked)
        (setf (cddr asked)
              (runabout-worker-request
               :textDocument/inlineCompletion
               `( :textDocument (:uri ,uri)
                  :position ,(runabout-document-position (point))
                  :context (:triggerKind ,kind)
                  ;; Then the whole suggestion is in the answer, too; alternatives would not be.
                  ,@(and (= kind 2) (list :partialResultToken token)))
               (lambda (result)
                 (when (eq asked runabout-suggestion--asked)
                   (setq runabout-suggestion--asked nil)
                   (when (buffer-live-p buffer)
                     (with-current-buffer buffer
                       (runabout-suggestion--answered result beginning before kind step)))))
               (lambda (_error)
                 (when (eq asked runabout-suggestion--asked)
                   (setq runabout-suggestion--asked nil))))))
    (setq runabout-suggestion--refused (list (copy-marker (point)) kind step))))

(defun runabout-suggestion--cancel ()
  "Tell the worker that the last request is not wanted any more."
  (when runabout-suggestion--asked
    (runabout-worker-notify :$/cancelRequest `(:id ,(cddr runabout-suggestion--asked)))
    (setq runabout-suggestion--asked nil)))

(defun runabout-suggestion--arrived (value beginning before)
  "Show VALUE, the beginning of what an automatic request will get.
The request was made at BEGINNING after the text BEFORE."
  (let ((items (runabout-suggestion--items value))
        (rest (and runabout-suggestion--shown (runabout-suggestion--rest))))
    ;; What is shown does not shrink while the same text arrives once more.
    (unless (or (equal items [])
                (and rest (string-prefix-p (runabout-suggestion--text (aref items 0)) rest)))
      (runabout-suggestion--offer items beginning before 2 0))))

(defun runabout-suggestion--answered (result beginning before kind step)
  "Show RESULT of a request of KIND, made at BEGINNING after the text BEFORE.
STEP is the way to go among the alternatives."
  (let ((items (runabout-suggestion--items result)))
    (when (equal items [])
      (setq runabout-suggestion--refused (list beginning kind step)))
    (runabout-suggestion--offer items beginning before kind step)
    (when (and (= kind 2) (not runabout-suggestion--shown))
      (run-hooks 'runabout-suggestion-silent-hook))))

(defun runabout-suggestion--offer (items beginning before kind step)
  "Show the first of ITEMS, from a request of KIND at BEGINNING after BEFORE.
STEP is the way to go among them."
  (let ((rest (and runabout-suggestion--shown (runabout-suggestion--rest)))
        (reported (and runabout-suggestion--shown
                       (runabout-suggestion-reported runabout-suggestion--shown))))
    (when (and (< 0 (length items))
               (eq (current-buffer) (window-buffer (selected-window)))
               (not (run-hook-with-args-until-success 'runabout-suggestion-inhibit-functions))
               ;; An alternative that the person has picked stays.
               (not (and (= kind 2) runabout-suggestion--shown
                         (runabout-suggestion-chosen runabout-suggestion--shown))))
      (setq runabout-suggestion--shown
            (runabout-suggestion--make :beginning beginning :before before
                                       :items items :chosen (= kind 1) :reported reported))
      (when (and (/= step 0) (< 1 (length items))
                 (equal rest (runabout-suggestion--text (aref items 0))))
        ;; It was on the screen before the person asked for another one.
        (setf (runabout-suggestion-index runabout-suggestion--shown)
              (if (> step 0) 1 (1- (length items)))))
      (runabout-suggestion--advance))))

(defun runabout-suggestion--items (result)
  "Return the items of RESULT that have something to show, as a vector."
  (let ((items (if (vectorp result) result (plist-get result :items))))
    (cl-remove-if (lambda (item) (string-empty-p (runabout-suggestion--text item)))
                  (or items []))))

;;;; What is shown

(defun runabout-suggestion--item ()
  "Return the item that is shown."
  (aref (runabout-suggestion-items runabout-suggestion--shown)
        (runabout-suggestion-index runabout-suggestion--shown)))

(defun runabout-suggestion--arguments ()
  "Return the arguments of the shown item's command, which name it."
  (append (plist-get (plist-get (runabout-suggestion--item) :command) :arguments) nil))

(defun runabout-suggestion--text (item)
  "Return ITEM's text with Emacs's line ends, without those at its end."
  (let ((end (runabout-document-line-end))
        (text (plist-get item :insertText)))
    (string-trim-right (if (equal end "\n") text (string-replace end "\n" text)) "\n+")))

(defun runabout-suggestion--taken ()
  "Return the part of the suggestion that is in the buffer, or nil if it is none."
  (let ((beginning (runabout-suggestion-beginning runabout-suggestion--shown))
        (text (runabout-suggestion--text (runabout-suggestion--item))))
    (when (and (<= (point-min) beginning (point))
               (<= (- (point) beginning) (length text))
               (equal (runabout-suggestion-before runabout-suggestion--shown)
                      (save-excursion
                        (goto-char beginning)
                        (buffer-substring-no-properties (line-beginning-position) beginning))))
      (let ((typed (buffer-substring-no-properties beginning (point))))
        (and (string-prefix-p typed text) typed)))))

(defun runabout-suggestion--rest ()
  "Return what of the suggestion is not in the buffer yet, or nil if they disagree."
  (when-let ((taken (runabout-suggestion--taken)))
    (substring (runabout-suggestion--text (runabout-suggestion--item)) (length taken))))

(defun runabout-suggestion--advance ()
  "Bring what is shown in line with the text before point, or remove it."
  (when runabout-suggestion--shown
    (let ((rest (runabout-suggestion--rest)))
      (if (member rest '(nil ""))
          (runabout-suggestion-clear)
        (runabout-suggestion--show rest)))))

(defun runabout-suggestion-drawn (text face)
  "Return TEXT with FACE, to be drawn by an overlay behind the cursor."
  ;; Without the property the cursor would be drawn behind the text, and so it
  ;; would be with it on a line break.
  (if (string-prefix-p "\n" text)
      (concat (propertize " " 'cursor t) (propertize text 'face face))
    (let ((drawn (propertize text 'face face)))
      (put-text-property 0 1 'cursor t drawn)
      drawn)))

(defun runabout-suggestion--show (rest)
  "Show REST at point."
  (let ((text (runabout-suggestion-drawn rest 'runabout-ghost))
        (item (runabout-suggestion--item)))
    (unless (overlayp runabout-suggestion--overlay)
      (setq runabout-suggestion--overlay (make-overlay (point) (point) nil t t)))
    (move-overlay runabout-suggestion--overlay (point) (point) (current-buffer))
    (overlay-put runabout-suggestion--overlay 'after-string text)
    (setq runabout-suggestion-visible t)
    ;; An item that comes in parts has the same command each time.
    (unless (member (plist-get item :command)
                    (runabout-suggestion-reported runabout-suggestion--shown))
      (push (plist-get item :command) (runabout-suggestion-reported runabout-suggestion--shown))
      (runabout-worker-notify :textDocument/didShowCompletion `(:item ,item)))
    (force-mode-line-update)))

(defun runabout-suggestion-clear ()
  "Remove the suggestion from the current buffer."
  (when (overlayp runabout-suggestion--overlay)
    (delete-overlay runabout-suggestion--overlay))
  (when runabout-suggestion--shown
    (setq runabout-suggestion--shown nil
          runabout-suggestion-visible nil)
    (force-mode-line-update)))

(defun runabout-suggestion-place ()
  "Return a text such as \"2/3\" if there are alternatives, or nil."
  (when runabout-suggestion--shown
    (let ((count (length (runabout-suggestion-items runabout-suggestion--shown))))
      (and (> count 1)
           (format "%d/%d" (1+ (runabout-suggestion-index runabout-suggestion--shown)) count)))))

(defun runabout-suggestion--cycle (step)
  "Go by STEP among the alternatives; the first time, ask for them."
  (let* ((shown runabout-suggestion--shown)
         (count (if shown (length (runabout-suggestion-items shown)) 0)))
    (if (< count 2)
        (progn
          (runabout-worker-start)
          (runabout-suggestion--ask 1 step))
      (setf (runabout-suggestion-index shown)
            (mod (+ (runabout-suggestion-index shown) step) count)
            (runabout-suggestion-chosen shown) t)
      (runabout-suggestion--advance))))

(defun runabout-suggestion--accept (part)
  "Insert the suggestion, or only what PART, a regexp, matches at its beginning."
  (let ((rest (and runabout-suggestion--shown (runabout-suggestion--rest))))
    (if (member rest '(nil ""))
        (runabout-suggestion-clear)
      (let* ((text (if (and part (string-match part rest)) (match-string 0 rest) rest))
             (text (if (string-empty-p text) rest text))
             (item (runabout-suggestion--item))
             (arguments (runabout-suggestion--arguments))
             (taken (concat (runabout-suggestion--taken) text)))
        (if (equal text rest)
            (progn
              (runabout-suggestion-clear)
              (insert text)
              (runabout-worker-execute (plist-get (plist-get item :command) :command) arguments))
          (insert text)
          (runabout-worker-notify
           :textDocument/didPartiallyAcceptCompletion
           `( :item ,item
              :acceptedLength
              ,(runabout-document-units
                (string-replace "\n" (runabout-document-line-end) taken) "utf-16"))))))))

(defun runabout-suggestion--notified (method params)
  "React to a notification of METHOD with PARAMS.
Show a part of a suggestion, or ask again if the model is ready."
  (cond
   ((and (eq method '$/progress) runabout-suggestion--asked
         (equal (plist-get params :token) (car runabout-suggestion--asked)))
    (funcall (cadr runabout-suggestion--asked) (plist-get params :value)))
   ((and (eq method 'runabout/status) (equal (plist-get params :state) "ready"))
    (runabout-suggestion--ask-again))))

(defun runabout-suggestion--ask-again ()
  "Ask for what was asked for too early, if point is still there."
  (pcase runabout-suggestion--refused
    (`(,beginning ,kind ,step)
     (when-let ((buffer (marker-buffer beginning)))
       (with-current-buffer buffer
         (when (and (= (point) beginning)
                    (eq buffer (window-buffer))
                    (not (run-hook-with-args-until-success
                          'runabout-suggestion-inhibit-functions)))
           (runabout-suggestion--ask kind step)))))))

(defun runabout-suggestion--lost ()
  "Remove all suggestions: the worker that made them has ended."
  (setq runabout-suggestion--asked nil)
  (dolist (buffer (buffer-list))
    (when (buffer-local-value 'runabout-suggestion--shown buffer)
      (with-current-buffer buffer
        (runabout-suggestion-clear)))))

(add-hook 'runabout-worker-notification-functions #'runabout-suggestion--notified)
(add-hook 'runabout-worker-ended-hook #'runabout-suggestion--lost)

(provide 'runabout-suggestion)
;;; runabout-suggestion.el ends here
