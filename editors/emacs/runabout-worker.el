;;; runabout-worker.el --- The worker process and the connection to it  -*- lexical-binding: t; -*-

;;; Commentary:

;; Finds the program `runabout', starts it, restarts it after a crash, and
;; sends it requests and notifications.  This file knows nothing of documents
;; or suggestions: they add functions to the hooks below.

;;; Code:

(require 'cl-lib)
(require 'jsonrpc)
(require 'subr-x)
(require 'runabout-settings)

(defconst runabout-worker-places
  '("~/.cargo/bin" "~/.local/bin" "/opt/homebrew/bin" "/usr/local/bin")
  "Where installers put programs that a desktop's Emacs may not have in its path.")

(defconst runabout-worker--build
  (expand-file-name "../../target/release"
                    (file-name-directory (file-truename (or load-file-name buffer-file-name))))
  "Where the program is after a build, if this file is in the repository.")

(defconst runabout-worker--first-delay 1
  "Seconds until a crashed worker is started again; doubled after each crash.")

(defconst runabout-worker--most-crashes 5
  "After so many crashes in a row, the worker is not started again.")

(defconst runabout-worker--long-run 60
  "A run of so many seconds ends a series of crashes.")

(defconst runabout-worker--log-size 500000
  "How many characters of the worker's log are kept.")

(defvar runabout-worker-state 'idle
  "What the worker's process does.
One of `idle' (not started yet), `starting', `running', `waiting' (to
start again), `stopped' (by the person), `absent' (there is no program)
and `failed' (it was given up).")

(defvar runabout-worker-encoding "utf-16"
  "The unit of columns that was agreed on, \"utf-8\" or \"utf-16\".")

(defvar runabout-worker-ready-hook nil
  "Functions to call when the worker has started.")

(defvar runabout-worker-ended-hook nil
  "Functions to call when the worker has ended, in whatever way.")

(defvar runabout-worker-notification-functions nil
  "Functions to call with each notification of the worker.
Their arguments are the method, a symbol, and the params, a plist.")

(defvar runabout-worker--connection nil "The connection, or nil.")
(defvar runabout-worker--crashes 0 "How often the worker has crashed in a row.")
(defvar runabout-worker--ready-at 0 "When the worker became ready, in seconds.")
(defvar runabout-worker--timer nil "The timer of the next start after a crash.")
(defvar runabout-worker--sent-id nil "The id of the last request that was sent.")

(defclass runabout-worker-connection (jsonrpc-process-connection) ()
  "A connection that tells which id a request got, so that it can be cancelled.")

(cl-defmethod jsonrpc-connection-send :before
  ((_connection runabout-worker-connection) &key id method &allow-other-keys)
  "Remember ID if METHOD is a request."
  (when (and id method)
    (setq runabout-worker--sent-id id)))

;;;; Finding the program

(defun runabout-worker-program ()
  "Return the path of the program, or nil."
  (if runabout-program
      (if (file-name-directory runabout-program)
          (let ((path (expand-file-name runabout-program)))
            (and (file-executable-p path) (not (file-directory-p path)) path))
        (executable-find runabout-program))
    (or (executable-find "runabout")
        (cl-loop for place in (cons runabout-worker--build runabout-worker-places)
                 for path = (expand-file-name "runabout" place)
                 when (file-executable-p path) return path))))

(defun runabout-worker--absent ()
  "Say that there is no program, and how to get it."
  (setq runabout-worker-state 'absent)
  (if runabout-program
      (runabout-worker-warn "the program `%s' is not there or cannot be run; \
correct `runabout-program', then call `runabout-restart'" runabout-program)
    (runabout-worker-warn "the program `runabout' was not found in `exec-path' or in %s.  \
Build it with `cargo xtask setup && cargo build --release' in the repository, or set \
`runabout-program'; then call `runabout-restart'"
                         (string-join runabout-worker-places ", "))))

;;;; Words

(defun runabout-worker-say (format &rest arguments)
  "Show a message, made of FORMAT and ARGUMENTS as in `message'."
  (message "runabout: %s" (apply #'format format arguments)))

(defun runabout-worker-warn (format &rest arguments)
  "Show a message that stays, made of FORMAT and ARGUMENTS as in `message'.
The person may be typing, and then a message is gone at once."
  (display-warning 'runabout (apply #'format format arguments)))

(defun runabout-worker-words (error)
  "Say in plain words what ERROR, a plist from the worker, means."
  (let* ((data (plist-get error :data))
         (data (and (consp data) data))
         (text (string-replace "\n" "; " (or (plist-get error :message) "an unknown error"))))
    (pcase (plist-get data :kind)
      ("model_load_failed"
       (format "the model could not be loaded: %s%s" (or (plist-get data :cause) text)
               (if-let ((hint (plist-get data :hint))) (format " (%s)" hint) "")))
      ("prompt_too_long"
       (format "the text is too long for the model: %s tokens, and it takes %s"
               (plist-get data :prompt_tokens) (plist-get data :limit)))
      ("overloaded" "the worker is busy; try again in a moment")
      ("out_of_memory" "there is not enough memory for this request")
      ("generation_failed" "the model failed on this request")
      ("unsupported" (format "the model cannot do this: %s" text))
      ("shutting_down" "the worker is ending")
      (_ text))))

;;;; Start and end

(defun runabout-worker-running-p ()
  "Return non-nil if the worker answers requests."
  (eq runabout-worker-state 'running))

(defun runabout-worker-start ()
  "Start the worker, except after it was ended or given up."
  (when (eq runabout-worker-state 'idle)
    (runabout-worker--launch)))

(defun runabout-restart ()
  "End the worker and start a new one."
  (interactive)
  (runabout-stop)
  (setq runabout-worker--crashes 0)
  (runabout-worker--launch))

(defun runabout-stop ()
  "End the worker.
Command `runabout-restart' starts it again; a keystroke does not."
  (interactive)
  (when runabout-worker--timer
    (cancel-timer runabout-worker--timer)
    (setq runabout-worker--timer nil))
  (let ((connection runabout-worker--connection))
    (setq runabout-worker--connection nil)
    (runabout-worker--enter 'stopped)
    (when connection
      (run-hooks 'runabout-worker-ended-hook)
      (let ((process (jsonrpc--process connection)))
        ;; At the end of its input the worker answers, flushes and exits.
        (ignore-errors (process-send-eof process))
        (run-with-timer 3 nil (lambda ()
                                (when (process-live-p process)
                                  (delete-process process))))))))

(defun runabout-worker--launch ()
  "Start the process."
  (setq runabout-worker--timer nil)
  (let ((program (runabout-worker-program)))
    (if (null program)
        (runabout-worker--absent)
      (condition-case problem
          (let ((connection (runabout-worker--connect program)))
            (setq runabout-worker--connection connection)
            (runabout-worker--enter 'starting)
            (condition-case problem
                (runabout-worker--initialize connection)
              (error
               ;; Of a process that has ended already, its sentinel tells more.
               (when (process-live-p (jsonrpc--process connection))
                 (signal (car problem) (cdr problem))))))
        (error (runabout-worker--give-up
                (format "the worker could not start: %s" (error-message-string problem))))))))

(defun runabout-worker--connect (program)
  "Start PROGRAM, and return the connection to it."
  (let* ((command `(,program "lsp" ,@(and runabout-model (list "--model" runabout-model))
                             ,@runabout-arguments))
         (connection
          (make-instance
           'runabout-worker-connection
           :name "runabout"
           :process (lambda () (runabout-worker--process command))
           :request-dispatcher #'runabout-worker--answer
           :notification-dispatcher
           (lambda (connection method params)
             (when (eq connection runabout-worker--connection)
               (run-hook-with-args 'runabout-worker-notification-functions method params)))))
         (process (jsonrpc--process connection))
         (sentinel (process-sentinel process)))
    ;; Nobody reads a buffer with every message, and making it costs time at each key.
    ;; The slot has another name in Emacs 30.
    (if (slot-exists-p connection '-events-buffer-config)
        (setf (slot-value connection '-events-buffer-config) '(:size 0 :format full))
      (setf (slot-value connection '-events-buffer-scrollback-size) 0))
    (set-process-sentinel
     process
     (lambda (process change)
       ;; `jsonrpc' has a message of its own; one is enough.
       (let ((inhibit-message t)
             (message-log-max nil))
         (funcall sentinel process change))
       (unless (process-live-p process)
         (ignore-errors (kill-buffer (jsonrpc-events-buffer connection)))
         (runabout-worker--ended connection process))))
    connection))

(defun runabout-worker--process (command)
  "Start COMMAND, with a log of what it writes to its standard error."
  ;; Else the folder of a buffer could be one that is deleted, or on another machine.
  (let ((default-directory (expand-file-name "~/")))
    (make-process
     :name "runabout"
     :command command
     :connection-type 'pipe
     :coding 'utf-8-emacs-unix
     :noquery t
     :stderr (make-pipe-process :name "runabout log" :noquery t :coding 'utf-8
                                :buffer nil :filter #'runabout-worker--log
                                :sentinel #'ignore))))

(defun runabout-worker--log (_process text)
  "Add TEXT to the log."
  (with-current-buffer (get-buffer-create "*runabout log*")
    (unless (derived-mode-p 'special-mode)
      (special-mode)
      (buffer-disable-undo))
    (let ((inhibit-read-only t))
      (save-excursion
        (goto-char (point-max))
        (insert text)
        (when (> (buffer-size) (* 2 runabout-worker--log-size))
          (delete-region (point-min) (- (point-max) runabout-worker--log-size)))))))

(defun runabout-worker--initialize (connection)
  "Greet the worker at the other end of CONNECTION."
  (jsonrpc-async-request
   connection :initialize
   `( :processId ,(emacs-pid)
      :clientInfo (:name "emacs" :version ,emacs-version)
      :rootUri nil
      :capabilities
      ( :general (:positionEncodings ["utf-8" "utf-16"])
        :workspace ( :configuration t
                     :didChangeConfiguration (:dynamicRegistration :json-false)
                     :workspaceFolders t)
        :textDocument ( :synchronization (:dynamicRegistration :json-false)
                        :inlineCompletion (:dynamicRegistration :json-false)))
      :initializationOptions
      (:settings ,(runabout-settings-for-worker) :notifications t :growingItems t)
      :workspaceFolders [])
   :success-fn
   (lambda (result)
     (when (eq connection runabout-worker--connection)
       (setq runabout-worker-encoding
             (or (plist-get (plist-get result :capabilities) :positionEncoding) "utf-16")
             runabout-worker--ready-at (float-time))
       (runabout-worker--enter 'running)
       (runabout-worker-notify :initialized (make-hash-table))
       ;; Where the model is by now; later changes are notified.
       (run-hook-with-args 'runabout-worker-notification-functions 'runabout/status
                           (or (plist-get (plist-get (plist-get result :capabilities)
                                                     :experimental)
                                          :runabout)
                               '(:state "ready")))
       (run-hooks 'runabout-worker-ready-hook)))
   :error-fn
   (lambda (error)
     (when (and (eq connection runabout-worker--connection)
                (process-live-p (jsonrpc--process connection)))
       (runabout-stop)
       (runabout-worker--give-up
        (format "the worker refused to start: %s" (runabout-worker-words error)))))
   ;; The worker answers at once; a time limit would only add a way to fail.
   :timeout nil))

(defun runabout-worker--ended (connection process)
  "React to the end of PROCESS, the other end of CONNECTION."
  (when (eq connection runabout-worker--connection)
    (setq runabout-worker--connection nil)
    (let ((started (runabout-worker-running-p)))
      (when (and started (> (- (float-time) runabout-worker--ready-at) runabout-worker--long-run))
        (setq runabout-worker--crashes 0))
      (cl-incf runabout-worker--crashes)
      (cond
       ((and (not started) (eq (process-status process) 'exit)
             (/= 0 (process-exit-status process)))
        ;; A wrong option, or a file that is not there: it would fail again in the same way.
        (runabout-worker--give-up (format "the worker could not start: %s"
                                          (runabout-worker--last-words process))))
       ((>= runabout-worker--crashes runabout-worker--most-crashes)
        (runabout-worker--give-up (format "the worker has ended unexpectedly %d times in a row"
                                          runabout-worker--crashes)))
       (t
        (when (= runabout-worker--crashes 1)
          (runabout-worker-say "the worker ended unexpectedly and is started again"))
        (setq runabout-worker--timer
              (run-with-timer (* runabout-worker--first-delay
                                 (expt 2 (1- runabout-worker--crashes)))
                              nil #'runabout-worker--launch))
        (runabout-worker--enter 'waiting)))
      (run-hooks 'runabout-worker-ended-hook))))

(defun runabout-worker--last-words (process)
  "Return the last error in the log, or else the exit code of PROCESS."
  (let ((buffer (get-buffer "*runabout log*")))
    (or (and buffer
             (with-current-buffer buffer
               (save-excursion
                 (goto-char (point-max))
                 (skip-chars-backward " \n")
                 (let ((line (buffer-substring (line-beginning-position) (point))))
                   ;; Below the error the program tells how to get help.
                   (if (re-search-backward "^\\(?:error\\|runabout\\): \\(.+\\)"
                                           (line-beginning-position -8) t)
                       (match-string 1)
                     (and (not (string-empty-p line)) line))))))
        (format "exit code %d" (process-exit-status process)))))

(defun runabout-worker--give-up (reason)
  "Do not start the worker again by itself, and say the REASON."
  (runabout-worker--enter 'failed)
  (runabout-worker-warn "%s; `runabout-log' shows its log, `runabout-restart' starts it again"
                        reason))

(defun runabout-worker--enter (state)
  "Go over to STATE, and show it in the mode lines."
  (setq runabout-worker-state state)
  (force-mode-line-update t))

;;;; Messages

(defun runabout-worker-request (method params success failure)
  "Send a request of METHOD with PARAMS, and return its id.
SUCCESS is called with the result, or FAILURE with the error.
Return nil, and call neither, if the worker does not run."
  (when (runabout-worker-running-p)
    (condition-case nil
        (progn
          (jsonrpc-async-request runabout-worker--connection method params
                                 :success-fn success :error-fn failure :timeout nil)
          runabout-worker--sent-id)
      ;; The worker has just ended; the sentinel says so.
      ((file-error error) nil))))

(defun runabout-worker-execute (command arguments &optional success)
  "Have the worker execute COMMAND with ARGUMENTS, a list.
SUCCESS is called with the result."
  (runabout-worker-request :workspace/executeCommand
                           `(:command ,command :arguments ,(vconcat arguments))
                           (or success #'ignore)
                           (lambda (error)
                             (when success
                               (runabout-worker-say "%s" (runabout-worker-words error))))))

(defun runabout-worker-notify (method params)
  "Send a notification of METHOD with PARAMS."
  (when (runabout-worker-running-p)
    (condition-case nil
        (jsonrpc-notify runabout-worker--connection method params)
      ((file-error error) nil))))

(defun runabout-worker--answer (_connection method params)
  "Answer a request of the worker, of METHOD with PARAMS."
  (if (eq method 'workspace/configuration)
      (vconcat (mapcar (lambda (item)
                         (and (equal (plist-get item :section) "runabout")
                              (runabout-settings-for-worker)))
                       (plist-get params :items)))
    (jsonrpc-error :code -32601 :message "not supported by this client")))

(defun runabout-worker-settings-changed ()
  "Tell the worker the settings, after they have changed."
  (runabout-worker-notify :workspace/didChangeConfiguration
                          `(:settings (:runabout ,(runabout-settings-for-worker)))))

(add-hook 'runabout-settings-changed-hook #'runabout-worker-settings-changed)

(provide 'runabout-worker)
;;; runabout-worker.el ends here
