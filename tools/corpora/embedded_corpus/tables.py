"""The words of the embedded corpus, as tables; :mod:`embedded_corpus.lexicon` parses and inflects them.

Every English word (with its particle) has one German
translation, or two that the words around it decide ("in the" -> "im" before a place, "am" before "evening").

Rows of a table are separated by line ends or ``|``. A column marked ``+`` takes every remaining field.
"""

from typing import Literal

Case = Literal["nom", "acc", "dat", "gen"]
# Which column of an ending table applies: a gender in the singular, "p" in the plural.
Slot = Literal["m", "f", "n", "p"]
# German and English finite verbs distinguish no more than these, since the corpus has no "you".
Agreement = Literal["1sg", "3sg", "pl"]

# English singular and plural, gender, German nominative and genitive singular, plural; "-" where a plural is
# not used. A masculine genitive in -n marks the weak declension (der Junge, den Jungen).
NOUNS = {
    "person": """
        man men m Mann Mannes Männer | woman women f Frau Frau Frauen | child children n Kind Kindes Kinder
        boy boys m Junge Jungen Jungen | girl girls n Mädchen Mädchens Mädchen
        teacher teachers m Lehrer Lehrers Lehrer | doctor doctors m Arzt Arztes Ärzte
        student students m Student Studenten Studenten | farmer farmers m Bauer Bauern Bauern
        king kings m König Königs Könige | queen queens f Königin Königin Königinnen
        policeman policemen m Polizist Polizisten Polizisten | baker bakers m Bäcker Bäckers Bäcker
        waiter waiters m Kellner Kellners Kellner | singer singers m Sänger Sängers Sänger
        lawyer lawyers m Anwalt Anwalts Anwälte | guest guests m Gast Gastes Gäste
        tourist tourists m Tourist Touristen Touristen | lady ladies f Dame Dame Damen
        artist artists m Künstler Künstlers Künstler
        nurse nurses f Krankenschwester Krankenschwester Krankenschwestern""",
    "relative": """
        mother - f Mutter Mutter - | father - m Vater Vaters - | brother brothers m Bruder Bruders Brüder
        sister sisters f Schwester Schwester Schwestern | son sons m Sohn Sohnes Söhne
        daughter daughters f Tochter Tochter Töchter | uncle uncles m Onkel Onkels Onkel
        aunt aunts f Tante Tante Tanten | grandmother - f Großmutter Großmutter -
        grandfather - m Großvater Großvaters - | friend friends m Freund Freundes Freunde
        neighbour neighbours m Nachbar Nachbarn Nachbarn
        colleague colleagues m Kollege Kollegen Kollegen""",
    "animal": """
        dog dogs m Hund Hundes Hunde | cat cats f Katze Katze Katzen | bird birds m Vogel Vogels Vögel
        horse horses n Pferd Pferdes Pferde | cow cows f Kuh Kuh Kühe | mouse mice f Maus Maus Mäuse
        bear bears m Bär Bären Bären | duck ducks f Ente Ente Enten
        rabbit rabbits n Kaninchen Kaninchens Kaninchen""",
    "furniture": """
        table tables m Tisch Tisches Tische | chair chairs m Stuhl Stuhls Stühle
        bed beds n Bett Bettes Betten
        carpet carpets m Teppich Teppichs Teppiche""",
    "thing": """
        picture pictures n Bild Bildes Bilder | clock clocks f Uhr Uhr Uhren
        bag bags f Tasche Tasche Taschen
        key keys m Schlüssel Schlüssels Schlüssel | flower flowers f Blume Blume Blumen
        knife knives n Messer Messers Messer | bottle bottles f Flasche Flasche Flaschen
        box boxes f Kiste Kiste Kisten | mirror mirrors m Spiegel Spiegels Spiegel
        umbrella umbrellas m Regenschirm Regenschirms Regenschirme | camera cameras f Kamera Kamera Kameras
        cup cups f Tasse Tasse Tassen | plate plates m Teller Tellers Teller
        basket baskets m Korb Korbes Körbe | ring rings m Ring Ringes Ringe | ball balls m Ball Balles Bälle
        gift gifts n Geschenk Geschenks Geschenke | suitcase suitcases m Koffer Koffers Koffer""",
    "device": """
        lamp lamps f Lampe Lampe Lampen | computer computers m Computer Computers Computer
        radio radios n Radio Radios Radios | television televisions m Fernseher Fernsehers Fernseher""",
    "opening": "door doors f Tür Tür Türen | window windows n Fenster Fensters Fenster",
    "vehicle": """
        car cars n Auto Autos Autos | bicycle bicycles n Fahrrad Fahrrads Fahrräder
        truck trucks m Lastwagen Lastwagens Lastwagen | boat boats n Boot Bootes Boote""",
    "text": """
        book books n Buch Buches Bücher | letter letters m Brief Briefes Briefe
        newspaper newspapers f Zeitung Zeitung Zeitungen | story stories f Geschichte Geschichte Geschichten
        poem poems n Gedicht Gedichts Gedichte | message messages f Nachricht Nachricht Nachrichten
        report reports m Bericht Berichts Berichte | novel novels m Roman Romans Romane""",
    "clothes": """
        coat coats m Mantel Mantels Mäntel | jacket jackets f Jacke Jacke Jacken
        dress dresses n Kleid Kleides Kleider | shirt shirts n Hemd Hemdes Hemden
        hat hats m Hut Hutes Hüte | skirt skirts m Rock Rocks Röcke | scarf scarves m Schal Schals Schals
        sweater sweaters m Pullover Pullovers Pullover""",
    "food": """
        apple apples m Apfel Apfels Äpfel | cake cakes m Kuchen Kuchens Kuchen
        pear pears f Birne Birne Birnen
        tomato tomatoes f Tomate Tomate Tomaten | banana bananas f Banane Banane Bananen""",
    "dish": """
        soup soups f Suppe Suppe Suppen | potato potatoes f Kartoffel Kartoffel Kartoffeln
        egg eggs n Ei Eis Eier""",
    "mass": """
        bread - n Brot Brotes - | cheese - m Käse Käses - | meat - n Fleisch Fleisches -
        rice - m Reis Reises -
        honey - m Honig Honigs - | butter - f Butter Butter -""",
    "drink": """
        water - n Wasser Wassers - | milk - f Milch Milch - | coffee - m Kaffee Kaffees - | tea - m Tee Tees -
        juice - m Saft Saftes - | wine - m Wein Weines - | beer - n Bier Bieres -""",
    "room": """
        garden gardens m Garten Gartens Gärten | kitchen kitchens f Küche Küche Küchen
        office offices n Büro Büros Büros | house houses n Haus Hauses Häuser
        room rooms n Zimmer Zimmers Zimmer | cellar cellars m Keller Kellers Keller""",
    "place": """
        school schools f Schule Schule Schulen | park parks m Park Parks Parks
        city cities f Stadt Stadt Städte
        village villages n Dorf Dorfes Dörfer | restaurant restaurants n Restaurant Restaurants Restaurants
        museum museums n Museum Museums Museen | library libraries f Bibliothek Bibliothek Bibliotheken
        church churches f Kirche Kirche Kirchen | hotel hotels n Hotel Hotels Hotels
        theatre theatres n Theater Theaters Theater | castle castles n Schloss Schlosses Schlösser
        hospital hospitals n Krankenhaus Krankenhauses Krankenhäuser
        bakery bakeries f Bäckerei Bäckerei Bäckereien | factory factories f Fabrik Fabrik Fabriken""",
    "attribute": "colour - f Farbe Farbe - | price - m Preis Preises - | size - f Größe Größe -",
    "duration": "minute minutes f Minute Minute Minuten | hour hours f Stunde Stunde Stunden",
    "period": """
        day days m Tag Tages Tage | week weeks f Woche Woche Wochen | month months m Monat Monats Monate
        year years n Jahr Jahres Jahre""",
}

# English modifier, German first part with its linking element, heads it joins. The compound takes gender and
# plural from its head, so "kitchen table" is the noun "Küchentisch" like any other.
COMPOUNDS = """
    kitchen Küchen table chair door window lamp clock knife | garden Garten table chair door lamp house
    office Büro chair door lamp clock computer | glass Glas door bottle plate
    winter Winter coat jacket dress hat | summer Sommer coat jacket dress hat house
    coffee Kaffee cup | tea Tee cup | apple Apfel cake juice | city Stadt museum park library
    cherry Kirsch cake juice | potato Kartoffel soup | tomato Tomaten soup juice"""

# English, German (predicate form, then "/" and the stem that takes endings where that differs), + what it
# describes.
ADJECTIVES = """
    old alt person relative animal furniture thing vehicle clothes text room place | young jung person animal
    small klein person animal furniture thing device opening vehicle clothes food room place
    big groß animal furniture thing device opening vehicle clothes food room place
    good gut person relative text food dish mass drink | famous berühmt person text place
    new neu furniture thing device opening vehicle clothes text room place
    beautiful schön person animal furniture thing clothes text room place
    heavy schwer furniture thing device
    expensive teuer/teur furniture thing device vehicle clothes mass drink
    cheap billig furniture thing device vehicle clothes mass drink
    red rot furniture thing opening vehicle clothes | blue blau furniture thing opening vehicle clothes
    green grün furniture thing opening vehicle clothes | yellow gelb furniture thing opening vehicle clothes
    white weiß animal furniture thing opening vehicle clothes
    black schwarz animal furniture thing vehicle clothes | brown braun animal furniture thing clothes
    hot heiß drink dish | cold kalt drink dish | warm warm drink clothes dish | fresh frisch food dish mass
    sweet süß food drink | tired müde/müd person relative animal | hungry hungrig person animal
    friendly freundlich person relative animal | happy glücklich person relative | sad traurig person text
    rich reich person relative | poor arm person | sick krank person relative animal
    strong stark person animal | clever klug person relative animal | polite höflich person relative
    honest ehrlich person relative | nervous nervös person | long lang text | short kurz text
    interesting interessant text place | important wichtig person text | boring langweilig text place
    difficult schwierig text | dark dunkel/dunkl room clothes | clean sauber room clothes vehicle
    dirty schmutzig room clothes vehicle | empty leer room | modern modern place device
    quiet ruhig room place"""

# Adjectives that the same thing cannot both be.
OPPOSITES = """
    old young new | small big | expensive cheap | red blue green yellow white black brown | hot cold warm
    happy sad | rich poor | clean dirty | boring interesting important famous beautiful | long short
    strong sick"""

# English base, third person, past, participle, -ing form and particle; German infinitive (a separable prefix
# before "·"), third person, preterite, participle and auxiliary; + object categories or manner adverbs.
# "!" before the German column: a state, which has no English progressive.
VERBS = {
    "intransitive": """
        sleep sleeps slept slept sleeping = schlafen schläft schlief geschlafen haben = well badly
        work works worked worked working = arbeiten arbeitet arbeitete gearbeitet haben
            = slowly quickly alone patiently
        laugh laughs laughed laughed laughing = lachen lacht lachte gelacht haben = loudly quietly
        sing sings sang sung singing = singen singt sang gesungen haben = loudly quietly well badly
        dance dances danced danced dancing = tanzen tanzt tanzte getanzt haben = well badly alone
        swim swims swam swum swimming = schwimmen schwimmt schwamm geschwommen sein = slowly quickly
        cry cries cried cried crying = weinen weint weinte geweint haben = loudly quietly
        play plays played played playing = spielen spielt spielte gespielt haben = alone quietly patiently
        wait waits waited waited waiting = warten wartet wartete gewartet haben = alone patiently
        get gets got got getting up = auf·stehen steht stand gestanden sein = early late
        wake wakes woke woken waking up = auf·wachen wacht wachte gewacht sein = early late
        fall falls fell fallen falling asleep = ein·schlafen schläft schlief geschlafen sein
            = early late quickly
        arrive arrives arrived arrived arriving = an·kommen kommt kam gekommen sein = early late
        depart departs departed departed departing = ab·fahren fährt fuhr gefahren sein = early late
        come comes came come coming back = zurück·kommen kommt kam gekommen sein = early late alone
        go goes went gone going out = aus·gehen geht ging gegangen sein = alone early late""",
    "transitive": """
        buy buys bought bought buying = kaufen kauft kaufte gekauft haben
            = thing furniture device clothes text vehicle food mass drink
        sell sells sold sold selling = verkaufen verkauft verkaufte verkauft haben
            = thing furniture device clothes text vehicle food mass animal
        find finds found found finding = finden findet fand gefunden haben = thing clothes text animal
        lose loses lost lost losing = verlieren verliert verlor verloren haben = thing clothes text
        forget forgets forgot forgotten forgetting = !vergessen vergisst vergaß vergessen haben
            = thing clothes
        need needs needed needed needing = !brauchen braucht brauchte gebraucht haben
            = thing furniture device clothes vehicle mass
        have has had had having = !haben hat hatte gehabt haben
            = thing furniture clothes animal vehicle device
        see sees saw seen seeing = !sehen sieht sah gesehen haben = person relative animal thing vehicle place
        hear hears heard heard hearing = !hören hört hörte gehört haben = person relative animal
        visit visits visited visited visiting = besuchen besucht besuchte besucht haben
            = person relative place
        love loves loved loved loving = !lieben liebt liebte geliebt haben = relative animal person
        meet meets met met meeting = treffen trifft traf getroffen haben = person relative
        ask asks asked asked asking = fragen fragt fragte gefragt haben = person relative
        eat eats ate eaten eating = essen isst aß gegessen haben = food dish mass
        drink drinks drank drunk drinking = trinken trinkt trank getrunken haben = drink
        cook cooks cooked cooked cooking = kochen kocht kochte gekocht haben = dish
        order orders ordered ordered ordering = bestellen bestellt bestellte bestellt haben = dish drink food
        read reads read read reading = lesen liest las gelesen haben = text
        write writes wrote written writing = schreiben schreibt schrieb geschrieben haben = text
        understand understands understood understood understanding
            = !verstehen versteht verstand verstanden haben = text person
        translate translates translated translated translating
            = übersetzen übersetzt übersetzte übersetzt haben = text
        wash washes washed washed washing = waschen wäscht wusch gewaschen haben = clothes vehicle
        repair repairs repaired repaired repairing = reparieren repariert reparierte repariert haben
            = vehicle device opening
        carry carries carried carried carrying = tragen trägt trug getragen haben = thing furniture
        open opens opened opened opening = öffnen öffnet öffnete geöffnet haben = opening
        clean cleans cleaned cleaned cleaning = putzen putzt putzte geputzt haben = room opening
        catch catches caught caught catching = fangen fängt fing gefangen haben = animal
        close closes closed closed closing = zu·machen macht machte gemacht haben = opening
        turn turns turned turned turning on = ein·schalten schaltet schaltete geschaltet haben = device
        turn turns turned turned turning off = aus·schalten schaltet schaltete geschaltet haben = device
        put puts put put putting on = an·ziehen zieht zog gezogen haben = clothes
        take takes took taken taking off = aus·ziehen zieht zog gezogen haben = clothes
        tidy tidies tidied tidied tidying up = auf·räumen räumt räumte geräumt haben = room
        call calls called called calling = an·rufen ruft rief gerufen haben = person relative
        invite invites invited invited inviting = ein·laden lädt lud geladen haben = person relative
        pick picks picked picked picking up = ab·holen holt holte geholt haben = person relative
        throw throws threw thrown throwing away = weg·werfen wirft warf geworfen haben
            = thing clothes text""",
    "dative": """
        help helps helped helped helping = helfen hilft half geholfen haben = person relative
        thank thanks thanked thanked thanking = danken dankt dankte gedankt haben = person relative
        follow follows followed followed following = folgen folgt folgte gefolgt sein = person relative animal
        answer answers answered answered answering = antworten antwortet antwortete geantwortet haben
            = person relative""",
    "ditransitive": """
        give gives gave given giving = geben gibt gab gegeben haben = thing text clothes food
        show shows showed shown showing = zeigen zeigt zeigte gezeigt haben = thing text clothes vehicle place
        send sends sent sent sending = schicken schickt schickte geschickt haben = thing text clothes
        bring brings brought brought bringing = bringen bringt brachte gebracht haben = thing food dish drink
        lend lends lent lent lending = leihen leiht lieh geliehen haben = thing text vehicle""",
    "location": """
        live lives lived lived living = wohnen wohnt wohnte gewohnt haben
        sit sits sat sat sitting = sitzen sitzt saß gesessen haben
        stand stands stood stood standing = stehen steht stand gestanden haben""",
    "motion": """
        go goes went gone going = gehen geht ging gegangen sein
        run runs ran run running = rennen rennt rannte gerannt sein
        drive drives drove driven driving = fahren fährt fuhr gefahren sein
        travel travels travelled travelled travelling = reisen reist reiste gereist sein""",
    "report": """
        know knows knew known knowing = !wissen weiß wusste gewusst haben
        believe believes believed believed believing = !glauben glaubt glaubte geglaubt haben
        say says said said saying = !sagen sagt sagte gesagt haben
        think thinks thought thought thinking = !denken denkt dachte gedacht haben
        hope hopes hoped hoped hoping = !hoffen hofft hoffte gehofft haben""",
    "other": """
        be is was been being = !sein ist war gewesen sein
        lie lies lay lain lying = liegen liegt lag gelegen haben
        cost costs cost cost costing = !kosten kostet kostete gekostet haben""",
}

# One translation each; every row "English German".
WORDS = {
    "manner": """well gut | badly schlecht | slowly langsam | quickly schnell | alone allein | loudly laut
        quietly leise | patiently geduldig | early früh | late spät""",
    "frequency": "always immer | often oft | never nie | sometimes manchmal | rarely selten",
    "fronted": "perhaps vielleicht | unfortunately leider | hopefully hoffentlich",
    "city": """Berlin Berlin | Hamburg Hamburg | Munich München | Vienna Wien | Cologne Köln | Zurich Zürich
        Leipzig Leipzig | Paris Paris | Rome Rom""",
    "name": "Anna Anna | Peter Peter | Maria Maria | Paul Paul | Julia Julia | Thomas Thomas | Laura Laura",
    "weekday": """Monday Montag | Tuesday Dienstag | Wednesday Mittwoch | Thursday Donnerstag | Friday Freitag
        Saturday Samstag | Sunday Sonntag""",
    "month": """January Januar | February Februar | March März | April April | May Mai | June Juni | July Juli
        August August | September September | October Oktober | November November | December Dezember""",
    "season": "spring Frühling | summer Sommer | autumn Herbst | winter Winter",
    "part of day": "morning Morgen | afternoon Nachmittag | evening Abend",
    "subordinator": "because weil | although obwohl | if wenn | while während",
    "question": "where wo | when wann | why warum",
}

# Cardinal numbers below twenty, and the tens; the rest is put together.
NUMBER_WORDS = """
    zero null | one eins | two zwei | three drei | four vier | five fünf | six sechs | seven sieben
    eight acht
    nine neun | ten zehn | eleven elf | twelve zwölf | thirteen dreizehn | fourteen vierzehn
    fifteen fünfzehn
    sixteen sechzehn | seventeen siebzehn | eighteen achtzehn | nineteen neunzehn"""
TENS_WORDS = """
    - - | ten zehn | twenty zwanzig | thirty dreißig | forty vierzig | fifty fünfzig"""

# English, German stem, how the German word is declined, which endings a following adjective takes, number.
DETERMINERS = """
    the d definite weak any | a ein ein mixed singular | my mein ein mixed any | his sein ein mixed any
    her ihr ein mixed any | our unser ein mixed any | their ihr ein mixed any | this dies strong weak singular
    these dies strong weak plural | every jed strong weak singular | many viel strong strong plural"""

# English subject and object; German nominative, accusative and dative; agreement.
PRONOUNS = """
    I me ich mich mir 1sg | he him er ihn ihm 3sg | she her sie sie ihr 3sg | we us wir uns uns pl
    they them sie sie ihnen pl"""

# English for he and for they, German for ich, er and sie (plural).
MODALS = """
    can can kann kann können | must must muss muss müssen | should should sollte sollte sollten
    will will werde wird werden | wants want will will wollen"""

# Endings in the order masculine, feminine, neuter, plural; "-" is no ending.
ENDINGS: dict[str, dict[Case, str]] = {
    "definite": {"nom": "er ie as ie", "acc": "en ie as ie", "dat": "em er em en", "gen": "es er es er"},
    "ein": {"nom": "- e - e", "acc": "en e - e", "dat": "em er em en", "gen": "es er es er"},
    "strong": {"nom": "er e es e", "acc": "en e es e", "dat": "em er em en", "gen": "es er es er"},
    "weak": {"nom": "e e e en", "acc": "en e e en", "dat": "en en en en", "gen": "en en en en"},
    "mixed": {"nom": "er e es en", "acc": "en e es en", "dat": "en en en en", "gen": "en en en en"},
}
RELATIVE_PRONOUNS: dict[Case, str] = {
    "nom": "der die das die", "acc": "den die das die", "dat": "dem der dem denen",
}  # fmt: skip
SLOTS = "mfnp"
