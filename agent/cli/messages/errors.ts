import { keyErrors } from './key-errors.ts';
import { linkErrors } from './link-errors.ts';
import { provisionErrors } from './provision-errors.ts';

// French for the errors and hints that layers below the command line throw in English. `{1}`, `{2}`... stand for what
// the throw fills in, in its order. A test finds every throw in agent/ and holds it to this list.
export const frenchErrors: Record<string, string> = {
  'Expected a message of the closed schema of {1}, got another: it is not sent':
    'Attendu un message du schéma fermé de {1}, obtenu un autre : il n’est pas envoyé',
  'sudo tocsin privacy verify shows whether the outbox was changed': 'sudo tocsin privacy verify montre si la file a été modifiée',
  'name a file in a folder that exists and that you may write to': 'nommez un fichier dans un dossier qui existe et où vous pouvez écrire',
  'make room there (df -h)': 'faites-y de la place (df -h)',
  'the file system is read-only: findmnt shows its options; change the file where it can be written':
    'le système de fichiers est en lecture seule : findmnt montre ses options ; changez le fichier là où il peut être écrit',
  'make room there (df -h), or name a file elsewhere': 'faites-y de la place (df -h), ou nommez un fichier ailleurs',
  'Expected --out to name a file of its own, got {1}, which belongs to the scenes':
    'Attendu un fichier à part pour --out, obtenu {1}, qui appartient aux scènes',
  'Expected --wait of {1} or more, as long as the tone must be steady, got {2}':
    'Attendu --wait de {1} ou plus, la durée pendant laquelle le son doit être stable, obtenu {2}',
  'Expected {1} s of sound from the microphone, got less in {2} s': 'Attendu {1} s de son du microphone, obtenu moins en {2} s',
  'tocsin doctor says what is wrong with it; check microphone.sampleRateHz, the USB hub and its power supply':
    'tocsin doctor dit ce qu’il a ; vérifiez microphone.sampleRateHz, le hub USB et son alimentation',
  'wait longer with --wait, or ask for a shorter tone with --seconds': 'attendez plus longtemps avec --wait, ou demandez un son plus court avec --seconds',
  'Expected a microphone for {1}, got the file {2}': 'Attendu un microphone pour {1}, obtenu le fichier {2}',
  'set microphone.adapter and microphone.device, or leave the option out': 'réglez microphone.adapter et microphone.device, ou enlevez l’option',
  'name another file: --out': 'nommez un autre fichier : --out',
  'Expected schema version {1} or an earlier one, got {2}: {3} is of a later release':
    'Attendu la version de schéma {1} ou une plus ancienne, obtenu {2} : {3} vient d’une version plus récente',
  'install the later release again; nothing in the file was changed': 'réinstallez la version plus récente ; rien n’a changé dans le fichier',
  'Expected an outbox at {1}, got: {2}': 'Attendu une file d’attente à {1}, obtenu : {2}',
  'check the path, its owner and free space; if the file is damaged, `tocsin deliver` and `tocsin listen` repair it when they start':
    'vérifiez le chemin, son propriétaire et la place libre ; un fichier endommagé est réparé au démarrage de `tocsin deliver` et `tocsin listen`',
  'Expected to write the outbox, got: {1}': 'Impossible d’écrire dans la file d’attente : {1}',
  'Expected values that the schema of the outbox allows, got: {1}': 'Attendu des valeurs que permet le schéma de la file d’attente, obtenu : {1}',
  'report this as a defect of Tocsin; what follows is stored all the same, and what was refused is counted':
    'signalez ce défaut de Tocsin ; ce qui suit est stocké tout de même, et ce qui a été refusé est compté',
  'check free space and that the file belongs to the service': 'vérifiez la place libre et que le fichier appartient au service',
  ...linkErrors,
  'Expected to run to the end, got a stop by hand': 'Arrêté à la main avant la fin',
  'start again': 'recommencez',
  'start it again; if that does not help, the disk is failing (sudo dmesg | tail): put the file back, or replace the card':
    'relancez ; sinon le disque est défaillant (sudo dmesg | tail) : remettez le fichier, ou remplacez la carte',
  'Expected a limit of at least {1} tasks for this service, got {2}': 'Attendu une limite d’au moins {1} tâches pour ce service, obtenu {2}',
  'raise TasksMax in the unit: sudo systemctl edit tocsin-listener': 'augmentez TasksMax dans l’unité : sudo systemctl edit tocsin-listener',
  'Expected the id of this boot in {1}, got: {2}': 'Attendu l’identifiant de ce démarrage dans {1}, obtenu : {2}',
  'start it again; if that does not help, restart the board, and in a container mount /proc':
    'relancez ; sinon redémarrez la carte, et dans un conteneur montez /proc',
  'Expected a disk that can lock files in {1}, got one that cannot':
    'Attendu un disque qui sait verrouiller des fichiers dans {1}, obtenu un qui ne le sait pas',
  'put outbox.path on a disk of the board itself, with ext4: network disks often cannot lock':
    'mettez outbox.path sur un disque de la carte elle-même, en ext4 : les disques en réseau ne savent souvent pas verrouiller',
  'Expected a configuration file at {1}, got: {2}': 'Attendu un fichier de configuration à {1}, obtenu : {2}',
  'run it again with sudo; if a service reports this: sudo chgrp tocsin {1}; sudo chmod 640 {2}':
    'recommencez avec sudo ; si c’est un service qui le signale : sudo chgrp tocsin {1} ; sudo chmod 640 {2}',
  'tocsin config example > tocsin.yaml, edit it, and name it with --config': 'tocsin config example > tocsin.yaml, adaptez-le et nommez-le avec --config',
  'Windows called it .txt: sudo mv {1} {2}': 'Windows l’a appelé .txt : sudo mv {1} {2}',
  'Expected text in UTF-8 in {1}, got UTF-16': 'Attendu un texte en UTF-8 dans {1}, obtenu de l’UTF-16',
  'mqtt.passwordFile: expected text in UTF-8, got {1}': 'mqtt.passwordFile : attendu un texte en UTF-8, obtenu {1}',
  'write the password into it anew, as UTF-8': 'écrivez-y de nouveau le mot de passe, en UTF-8',
  'save it as UTF-8, or here: iconv -f utf-16 -t utf-8 FILE > NEW-FILE': 'enregistrez-le en UTF-8, ou ici : iconv -f utf-16 -t utf-8 FICHIER > NOUVEAU-FICHIER',
  'Expected YAML in {1}, got: {2} at line {3}, column {4}': 'Attendu du YAML dans {1}, obtenu : {2}, ligne {3}, colonne {4}',
  'type the blanks, quotes and hyphens of the line named anew: some of them came from a document':
    'retapez les espaces, guillemets et traits d’union de la ligne indiquée : certains viennent d’un traitement de texte',
  'type blanks, quotes and hyphens anew: some of them came from a document':
    'retapez espaces, guillemets et traits d’union : certains viennent d’un traitement de texte',
  'mqtt.passwordFile: expected a password, got {1} bytes': 'mqtt.passwordFile : attendu un mot de passe, obtenu {1} octets',
  'mqtt.passwordFile: expected a password, got {1}': 'mqtt.passwordFile : attendu un mot de passe, obtenu {1}',
  'name the file that holds the password and nothing else': 'nommez le fichier qui contient le mot de passe et rien d’autre',
  'Expected text in UTF-8 in {1}, got other bytes': 'Attendu un texte en UTF-8 dans {1}, obtenu d’autres octets',
  'if it is the right file, save it as UTF-8, or here: iconv -f windows-1252 -t utf-8 FILE > NEW-FILE':
    'si c’est le bon fichier, enregistrez-le en UTF-8, ou ici : iconv -f windows-1252 -t utf-8 FICHIER > NOUVEAU-FICHIER',
  'check the line named: indentation, quotes, a space behind the colon, a key that is there twice':
    'vérifiez la ligne indiquée : retraits, guillemets, espace après les deux-points, clé en double',
  'Expected YAML in {1}, got: an alias (*name) that is undefined, contains itself or is repeated too often':
    'Attendu du YAML dans {1}, obtenu : un alias (*nom) non défini, qui se contient lui-même ou est répété trop souvent',
  'write the value itself in place of each *name': 'écrivez la valeur elle-même à la place de chaque *nom',
  '{1} has {2} problem{3}:\n{4}': '{1} : à corriger ({2}) :\n{4}',
  'tocsin config example shows every key with its default': 'tocsin config example montre chaque clé et sa valeur par défaut',
  '{1}: expected a readable file, got: {2}': '{1} : attendu un fichier lisible, obtenu : {2}',
  '{1}: expected a file, got a symbolic link at {2}: systemd does not hand it to the courier':
    '{1} : attendu un fichier, obtenu un lien symbolique à {2} : systemd ne le remet pas au courrier',
  'replace the link with the file itself': 'remplacez le lien par le fichier lui-même',
  'check that it is there and is a file: sudo ls -l {1}': 'vérifiez qu’il est là et que c’est un fichier : sudo ls -l {1}',
  'check that the file exists and that the service user may read it': 'vérifiez que le fichier existe et que l’utilisateur du service peut le lire',
  'Expected arecord to list devices, got: {1}': 'arecord n’a pas pu lister les appareils : {1}',
  'sudo apt install alsa-utils': 'sudo apt install alsa-utils',
  'arecord -L by hand shows the same': 'arecord -L à la main montre la même chose',
  'Expected scenes.json in {1}: a list of {file, seconds, events}, got: {2}':
    'Attendu scenes.json dans {1} : une liste de {file, seconds, events}, obtenu : {2}',
  'Expected every recording of the scenes, got {1} of {2} that cannot be read, first {3}':
    'Attendu tous les enregistrements des scènes, illisibles : {1} sur {2}, le premier {3}',
  'Expected a label track beside every recording in {1}, got none for {2} of {3}, first {4}':
    'Attendue une piste de marqueurs à côté de chaque enregistrement dans {1}, absente pour {2} sur {3}, le premier {4}',
  'export an empty one where nothing is to be reported': 'exportez-en une vide là où rien n’est à signaler',
  'Expected a label track for each recording in {1}, got {2} for both {3} and {4}':
    'Attendue une piste de marqueurs pour chaque enregistrement dans {1}, obtenu {2} à la fois pour {3} et {4}',
  'one recording in two forms counts twice: leave one out; two recordings: give one of them another name, with a track of its own':
    'un enregistrement sous deux formes compte deux fois : ôtez-en une ; deux enregistrements : renommez l’un, avec une piste à lui',
  'Expected a wav, flac, ogg or mp3 file beside every label track in {1}, got none for {2} of them, first {3}':
    'Attendu un fichier wav, flac, ogg ou mp3 à côté de chaque piste de marqueurs dans {1}, absent pour {2}, la première {3}',
  'convert the recording to flac: ffmpeg -i FILE NEW-FILE.flac; or move the track elsewhere':
    'convertissez l’enregistrement en flac : ffmpeg -i FICHIER NOUVEAU-FICHIER.flac ; ou mettez la piste ailleurs',
  'Expected a label track in {1}, got: {2}': 'Attendue une piste de marqueurs dans {1}, obtenu : {2}',
  'Expected labels within the {1} s of {2}, got one at {3} s in {4}': 'Attendus des marqueurs dans les {1} s de {2}, obtenu un à {3} s dans {4}',
  'is it the label track of this recording?': 'est-ce la piste de marqueurs de cet enregistrement ?',
  'Expected a scene in {1}, got an empty list': 'Attendu une scène dans {1}, obtenu une liste vide',
  'Expected {1} s of sound in {2}, as scenes.json says, got {3} s': 'Attendu {1} s de son dans {2}, comme le dit scenes.json, obtenu {3} s',
  'is the file complete? if it is, correct its "seconds" in scenes.json': 'le fichier est-il complet ? si oui, corrigez ses « seconds » dans scenes.json',
  'tocsin evaluate --help shows the form': 'tocsin evaluate --help montre la forme',
  'Expected no more messages than the listener may store, got more: this one waits':
    'Attendus pas plus de messages que l’écouteur n’a le droit d’en enregistrer, obtenu davantage : celui-ci attend',
  'sudo tocsin privacy verify shows whether the listener was replaced': 'sudo tocsin privacy verify montre si l’écouteur a été remplacé',
  'Expected both processes to run, got exit {1} from one': 'Un des deux processus s’est arrêté : sortie {1}',
  'Expected both processes to run, got {1} from one': 'Un des deux processus n’a pas démarré : {1}',
  'read the line above': 'lisez la ligne ci-dessus',
  'Expected {1} in {2}, got: {3}': 'Attendu {1} dans {2}, obtenu : {3}',
  'run it again with sudo; if a service reports this: sudo chmod -R a+rX {1}':
    'recommencez avec sudo ; si c’est un service qui le signale : sudo chmod -R a+rX {1}',
  'name a folder as models/README.md describes; in the configuration it is model.path':
    'nommez un dossier comme le décrit models/README.md ; dans la configuration c’est model.path',
  'Expected JSON in {1}/manifest.json, got: {2}': 'Attendu du JSON dans {1}/manifest.json, obtenu : {2}',
  'see models/README.md': 'voyez models/README.md',
  '{1}/manifest.json has {2} problem{3}:\n{4}': '{1}/manifest.json : à corriger ({2}) :\n{4}',
  'see models/README.md for each field': 'voyez models/README.md pour chaque champ',
  'labels.{1}: expected names from "classes", got "{2}"': 'labels.{1} : attendu des noms de « classes », obtenu « {2} »',
  'correct the spelling in manifest.json': 'corrigez l’orthographe dans manifest.json',
  'Expected {1} with sha256 {2}, got {3}': 'Attendu {1} avec le sha256 {2}, obtenu {3}',
  'install the model again; if you changed it on purpose, write the new digest into manifest.json':
    'réinstallez le modèle ; si vous l’avez changé exprès, écrivez la nouvelle empreinte dans manifest.json',
  'Expected an ONNX graph in {1}, got: {2}': 'Attendu un graphe ONNX dans {1}, obtenu : {2}',
  'export the model again, with its weights inside the file': 'exportez le modèle de nouveau, ses poids dans le fichier',
  'export the model again with the ops, opset and IR version that models/README.md names':
    'exportez le modèle de nouveau avec les opérateurs, l’opset et la version IR que nomme models/README.md',
  'Expected a graph at {1} that takes at most the {2} MB of memory that are free here, got one that takes {3} MB to load':
    'Attendu un graphe à {1} qui prend au plus les {2} Mo de mémoire libres ici, obtenu {3} Mo',
  'free memory on this board, or take a smaller model; models/README.md says how large it may be for the service':
    'libérez de la mémoire sur cette carte, ou prenez un modèle plus petit ; models/README.md dit quelle taille le service admet',
  'Expected scores from 0 to 1 from {1}, got {2}': 'Attendu de {1} des scores de 0 à 1, obtenu {2}',
  'export the model with a sigmoid or softmax behind its last layer': 'exportez le modèle avec une sigmoïde ou un softmax après sa dernière couche',
  'hopSamples: expected at most the {1} of windowSamples, got {2}': 'hopSamples : attendu au plus les {1} de windowSamples, obtenu {2}',
  'hopSamples: expected the {1} of windowSamples, because a model with states hears each sample once, got {2}':
    'hopSamples : attendu les {1} de windowSamples, car un modèle avec états entend chaque échantillon une fois, obtenu {2}',
  'windowSamples: expected at most the {1} of a second, because sound is forgotten within two seconds, got {2}':
    'windowSamples : attendu au plus les {1} d’une seconde, car le son est oublié en deux secondes, obtenu {2}',
  'waveformShape: expected sizes whose product is the {1} of windowSamples, got {2}':
    'waveformShape : attendu des dimensions dont le produit est {1}, comme windowSamples, obtenu {2}',
  'frameSeconds: expected {1}, a hop of {2} samples over {3} frames, got {4}':
    'frameSeconds : attendu {1}, un pas de {2} échantillons divisé en {3} trames, obtenu {4}',
  'classes: expected each name once, got "{1}" again': 'classes : attendu chaque nom une seule fois, obtenu « {1} » de nouveau',
  'Expected finite numbers as scores and states from {1}, got others': 'Attendu de {1} des nombres finis comme scores et comme états, obtenu autre chose',
  'if it happens again, export the model anew, with a floor under its logarithms; `tocsin selftest` tests it':
    'si cela se reproduit, exportez le modèle de nouveau, avec un plancher sous ses logarithmes ; `tocsin selftest` le teste',
  'Expected sound of at least {1} Hz, as the model takes, got {2} Hz': 'Attendu un son d’au moins {1} Hz, comme le prend le modèle, obtenu {2} Hz',
  'raise microphone.sampleRateHz to a rate that the microphone has, or take another model':
    'augmentez microphone.sampleRateHz à une fréquence du microphone, ou prenez un autre modèle',
  'Expected {1} to take {2} samples, got: {3}': '{1} ne prend pas {2} échantillons : {3}',
  'windowSamples, waveformShape and states in manifest.json must be those of the graph, and its waveform and states float32; models/README.md says which graphs can be used':
    'windowSamples, waveformShape et states de manifest.json doivent être ceux du graphe, dont le signal et les états doivent être en float32 ; models/README.md dit quels graphes conviennent',
  'Expected {1} of {2} float32, as its state in manifest.json, got {3} {4}':
    'Attendu {1} de dimensions {2} en float32, comme son état dans manifest.json, obtenu {3} {4}',
  'export the model with states of one shape; models/README.md says which graphs can be used':
    'exportez le modèle avec des états de forme constante ; models/README.md dit quels graphes conviennent',
  'Expected {1} x {2} float32 scores from {3}, got {4} {5}': 'Attendu {1} x {2} scores float32 de {3}, obtenu {4} {5}',
  'scoresOutput, framesPerHop and classes in manifest.json must be those of the graph, and its scores float32':
    'scoresOutput, framesPerHop et classes de manifest.json doivent être ceux du graphe, et ses scores en float32',
  'Expected the inputs {1}, got {2}': 'Attendu les entrées {1}, obtenu {2}',
  'name the inputs of the graph in manifest.json; one that is neither waveform nor state must become a constant in the graph':
    'nommez les entrées du graphe dans manifest.json ; une entrée qui n’est ni le signal ni un état doit devenir une constante du graphe',
  'Expected the outputs {1}, got {2}': 'Attendu les sorties {1}, obtenu {2}',
  'name the outputs of the graph in manifest.json': 'nommez les sorties du graphe dans manifest.json',
  'Expected a file at {1} that takes at most the {2} MB of memory that are free here, got one that takes {3} MB to hear':
    'Attendu un fichier à {1} dont la lecture prend au plus les {2} Mo de mémoire libres ici, obtenu {3} Mo',
  'Expected sound in {1} files, got {2} that could not be read: each is named above':
    'Attendu du son dans {1} fichiers, illisibles : {2} ; chacun est nommé plus haut',
  'correct those files, then run the command on them again': 'corrigez ces fichiers, puis relancez la commande sur eux',
  'Expected sound in {1}, got nothing but exact zeros': 'Attendu du son dans {1}, obtenu uniquement des zéros exacts',
  'was its recorder mute? leave it out, or record it again': 'l’enregistreur était-il muet ? laissez-le de côté, ou enregistrez-le à nouveau',
  'Expected a wav, flac, ogg or mp3 file at {1}, got: {2}': 'Attendu un fichier wav, flac, ogg ou mp3 à {1}, obtenu : {2}',
  'Expected an audio file at {1}, got a pipe or a device': 'Attendu un fichier audio à {1}, obtenu un tube ou un périphérique',
  'Expected an audio file at {1}, got a folder': 'Attendu un fichier audio à {1}, obtenu un dossier',
  'name the files in it: FOLDER/*.flac': 'nommez les fichiers qu’il contient : DOSSIER/*.flac',
  'store the sound in a file first, and name that': 'enregistrez d’abord le son dans un fichier, et nommez celui-ci',
  'Expected at most {1} MB at {2}, got {3} MB': 'Attendu au plus {1} Mo à {2}, obtenu {3} Mo',
  'cut it into shorter files': 'découpez-le en fichiers plus courts',
  'check the path: ls shows what is there': 'vérifiez le chemin : ls montre ce qui s’y trouve',
  'files that were joined: name each by itself; from a recorder that lost its power: sox --ignore-length FILE NEW-FILE.wav':
    'des fichiers réunis : nommez chacun séparément ; d’un enregistreur privé de courant : sox --ignore-length FILE NEW-FILE.wav',
  'play the file elsewhere to check it, or convert it to wav': 'écoutez le fichier ailleurs pour le vérifier, ou convertissez-le en wav',
  'Expected sound from {1}, got {2} s of exact zeros, or zeros most of the time':
    'Attendu du son de {1}, obtenu {2} s de zéros exacts, ou des zéros le plus souvent',
  'check the plug, the mute switch and the capture volume (alsamixer)': 'vérifiez la prise, l’interrupteur et le volume de capture (alsamixer)',
  'Expected sound from the microphone, got {1}': 'Attendu du son du microphone, obtenu {1}',
  'Expected {1} to keep capturing, got: {2}{3}': 'La capture par {1} a échoué : {2}{3}',
  'tocsin devices lists what can be opened; put one in microphone.device':
    'tocsin devices montre ce qui peut être ouvert ; mettez-en un dans microphone.device',
  'Expected to write {1}, got: an alias (*name)': 'Impossible d’écrire {1} : il contient un alias (*nom)',
  'Expected to write {1}, got: {2}': 'Impossible d’écrire {1} : {2}',
  'Expected the microphone {1}, got {2}': 'Attendu le microphone {1}, obtenu {2}',
  'Expected the microphone {1} ({2}), got {3}': 'Attendu le microphone {1} ({2}), obtenu {3}',
  'Expected one microphone {1}, got {2}': 'Attendu un seul microphone {1}, obtenu {2}',
  'plug it in; tocsin devices lists what is there': 'branchez-le ; tocsin devices montre ce qui est là',
  'name it by its USB port: usb:PORT': 'nommez-le par son port USB : usb:PORT',
  'put the right one back, or change microphone.device': 'remettez le bon, ou changez microphone.device',
  'put the first one back into its port, or restart the listener if it was exchanged or moved on purpose':
    'remettez le premier sur son port, ou relancez l’écouteur s’il a été échangé ou déplacé exprès',
  'Expected to read what is captured, got: {1}': 'Impossible de lire la capture : {1}',
  'Expected {1} to end when it was killed, got: process {2} is still there': '{1} aurait dû s’arrêter une fois tué : le processus {2} est toujours là',
  'take the microphone out and put it in again; if that does not help, restart the board':
    'débranchez et rebranchez le microphone ; si cela n’aide pas, redémarrez la carte',
  'sudo fuser -v /dev/snd/* shows which program holds it; for a trial: sudo systemctl stop tocsin-listener':
    'sudo fuser -v /dev/snd/* montre quel programme le tient ; pour un essai : sudo systemctl stop tocsin-listener',
  'restart the board if this does not end by itself': 'redémarrez la carte si cela ne cesse pas tout seul',
  'Expected to start {1}, got: {2}': 'Impossible de lancer {1} : {2}',
  'Expected to be the only listener of {1}, got another that runs': 'Un autre écouteur utilise déjà {1}',
  'sudo systemctl stop tocsin-listener, or end the other one; sudo tocsin status shows it':
    'sudo systemctl stop tocsin-listener, ou arrêtez l’autre ; sudo tocsin status le montre',
  'Expected to be the only courier of {1}, got another that runs': 'Un autre courrier utilise déjà {1}',
  'sudo systemctl stop tocsin-courier, or end the other one; sudo tocsin status shows it':
    'sudo systemctl stop tocsin-courier, ou arrêtez l’autre ; sudo tocsin status le montre',
  'run it again with sudo': 'recommencez avec sudo',
  'Expected to read the outbox {1}, got: {2}': 'Impossible de lire la file d’attente {1} : {2}',
  'sudo tocsin doctor says more': 'sudo tocsin doctor en dit plus',
  ...provisionErrors,
  'Expected to write the output, got: {1}': 'Impossible d’écrire la sortie : {1}',
  'is the disk full? df -h': 'le disque est-il plein ? df -h',
  'tocsin model --help': 'tocsin model --help',
  'tocsin {1} {2} --help': 'tocsin {1} {2} --help',
  'Expected --ca with --install, got --ca alone': 'Attendu --ca avec --install, obtenu --ca seul',
  'sudo tocsin selftest --ask --seconds 60': 'sudo tocsin selftest --ask --seconds 60',
  'Expected --seconds with --ask or --speaker, got --seconds alone': 'Attendu --seconds avec --ask ou --speaker, obtenu --seconds seul',
  'Expected an EC or RSA key at {1}, got {2}': 'Attendu une clé EC ou RSA à {1}, obtenu {2}',
  'openssl dgst could not check its signatures; use an EC key': 'openssl dgst ne saurait vérifier ses signatures ; prenez une clé EC',
  'Expected the private key of this sensor at {1}, got: {2}': 'Attendu la clé privée de ce capteur à {1}, obtenu : {2}',
  'sudo tocsin provision makes one': 'sudo tocsin provision en fait une',
  'its request waits for a certificate: sudo tocsin provision --install CERTIFICATE --ca CA':
    'sa demande attend un certificat : sudo tocsin provision --install CERTIFICAT --ca AC',
  "Expected the certificate of this sensor's key at {1}, got: {2}": 'Attendu le certificat de la clé de ce capteur à {1}, obtenu : {2}',
  'correct mqtt.certFile, or mqtt.keyFile': 'corrigez mqtt.certFile, ou mqtt.keyFile',
  'Expected to write into {1}, got: {2}': 'Impossible d’écrire dans {1} : {2}',
  'Expected {1} to stay as it was during the run, got another configuration':
    'Attendu que {1} reste inchangé pendant la réception, obtenu une autre configuration',
  'Expected to write the report into {1}, got: {2}': 'Impossible d’écrire le rapport dans {1} : {2}',
  'make room there (df -h), or name another folder: --out': 'faites-y de la place (df -h), ou nommez un autre dossier : --out',
  'name a folder that exists and that you may write to: --out': 'nommez un dossier qui existe et où vous pouvez écrire : --out',
  'Expected systemctl {1} {2} to succeed, got: {3}': 'systemctl {1} {2} a échoué : {3}',
  'expected a whole number from {1} to {2}': 'attendu un nombre entier de {1} à {2}',
  'expected a count and a span such as 2/week, 1/day or 5/month': 'attendu un nombre et une durée comme 2/week, 1/day ou 5/month',
  'expected a budget of at most {1}/day': 'attendu un budget de {1}/day au plus',
  'expected a SHA-256: 64 hexadecimal digits': 'attendu un SHA-256 : 64 chiffres hexadécimaux',
  'expected a path': 'attendu un chemin',
  'expected the name of a device': 'attendu le nom d’un appareil',
  'expected a process id': 'attendu un numéro de processus (PID)',
  'Expected an event of Tocsin as JSON in {1}, got: {2}': 'Attendu un événement de Tocsin en JSON dans {1}, obtenu : {2}',
  'save the payload as it was published; event.schema.json in /usr/share/doc/tocsin or docs describes it':
    'enregistrez le message tel que publié ; event.schema.json, dans /usr/share/doc/tocsin ou docs, le décrit',
  ...keyErrors,
  'Expected an installation in {1}, got: {2}': 'Attendu une installation dans {1}, obtenu : {2}',
  'Expected an installation in {1}, got a folder without {2}': 'Attendu une installation dans {1}, obtenu un dossier sans {2}',
  'name the folder that holds agent/ and package.json': 'nommez le dossier qui contient agent/ et package.json',
};
