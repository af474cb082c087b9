;;; edits.el --- Edits a file at random, and notes what the worker should have  -*- lexical-binding: t; -*-

;;; Commentary:

;; Run by package.py in batch, with the file, the worker, the folder for the
;; notes, and the seed of the edits as arguments.

;;; Code:

(require 'runabout)

(setq make-backup-files nil
      auto-save-default nil
      create-lockfiles nil)

(defun edits-run (file program notes)
  "Edit FILE with PROGRAM as the worker, and write each text into the folder NOTES."
  (setq runabout-program program
        runabout-model "smollm2-135m"
        runabout-arguments '("--offline")
        runabout-automatic nil)
  (find-file file)
  (runabout-mode)
  (runabout-worker-start)
  (while (not (runabout-worker-running-p))
    (accept-process-output nil 0.1))
  (dotimes (round 150)
    (dotimes (_ (1+ (random 4)))
      ;; At the ends of a buffer some of the commands fail.
      (ignore-errors (edits-one)))
      (widen)
    (runabout-document-flush)
    (let ((coding-system-for-write
           (coding-system-change-eol-conversion 'utf-8 (coding-system-eol-type buffer-file-coding-system)))
          (buffer-file-name nil))
      (save-restriction
        (widen)
        (write-region nil nil (expand-file-name (number-to-string round) notes) nil 'quiet))))
  (accept-process-output nil 0.5))

(defun edits-one ()
  "Change something."
  (goto-char (+ (point-min) (random (1+ (buffer-size)))))
  (pcase (random 14)
    (0 (insert "x"))
    (1 (insert "é😀\n"))
    (2 (delete-char 1))
    (3 (backward-delete-char 3))
    (4 (kill-line))
    (5 (yank))
    (6 (transpose-lines 1))
    (7 (upcase-region (point) (min (point-max) (+ (point) 30))))
    (8 (fill-region (point) (min (point-max) (+ (point) 200))))
    (9 (replace-regexp-in-region "e" "ee" (point) (min (point-max) (+ (point) 20))))
    (10 (subst-char-in-region (point) (min (point-max) (+ (point) 50)) ?1 ?l))
    (11 (undo-boundary) (undo-only))
    (12 (sort-lines nil (line-beginning-position) (min (point-max) (+ (point) 60))))
    (13 (narrow-to-region (point) (point-max)) (goto-char (point-max)) (insert "end") (widen))))

(provide 'edits)
;;; edits.el ends here
