# Changes voices: pitch, pitch range, vocal-tract length and duration, by overlap-add (Praat's "Change gender").
# jobs: tab-separated table with columns input, output (paths), ceiling (Hz), formant, pitch, range, duration (factors).
form Change voices
  sentence jobs
endform
table = Read Table from tab-separated file: jobs$
rows = Get number of rows
for row to rows
  selectObject: table
  input$ = Get value: row, "input"
  output$ = Get value: row, "output"
  ceiling = Get value: row, "ceiling"
  formant = Get value: row, "formant"
  factor = Get value: row, "pitch"
  range = Get value: row, "range"
  duration = Get value: row, "duration"
  sound = Read from file: input$
  seconds = Get total duration
  if seconds > 0.1
    pitch = To Pitch: 0, 75, ceiling
    median = Get quantile: 0, 0, 0.5, "Hertz"
    low = Get minimum: 0, 0, "Hertz", "none"
    new = 0
    if median <> undefined
      if low / median < 1.1 - 1 / range
        # a wider range would take the lowest pitch below zero
        range = 1
      endif
      new = min (ceiling * 0.9, median * factor)
    endif
    selectObject: sound
    # a voice that cannot be changed so is left out
    nocheck Change gender: 75, ceiling, formant, new, range, duration
    changed = selected ("Sound")
    if changed <> sound
      Save as WAV file: output$
      removeObject: changed
    endif
    removeObject: pitch
  endif
  removeObject: sound
endfor
